/** The process that makes one picture, from stdin to stdout; see pictures.ts. */
import { buffer } from 'node:stream/consumers';
import sharp from 'sharp';
import type { PictureJob } from './pictures.ts';

sharp.concurrency(1);
sharp.cache(false);

/** Widths and colours, the best first. */
const QUALITIES = [
  [1, 96],
  [0.75, 64],
  [0.5, 48],
] as const;

const job = JSON.parse(process.argv[2] ?? '') as PictureJob;
const input = await buffer(process.stdin);
process.stdout.end(job.kind === 'svg' ? await sharp(input).png().toBuffer() : await animation(job, input));

async function animation(
  { width, height, delayMs, maxBytes }: Extract<PictureJob, { kind: 'animation' }>,
  frames: Buffer,
): Promise<Buffer> {
  const frameBytes = width * height * 3;
  const encode = (pictures: Buffer, [scale, colours]: (typeof QUALITIES)[number], showMs: number) => {
    const number = pictures.byteLength / frameBytes;
    return sharp(pictures, {
      animated: true,
      raw: { width, height: height * number, channels: 3, pageHeight: height },
    })
      .resize({ width: Math.round(width * scale) })
      .gif({
        ...{ colours, loop: 0, effort: 4, dither: 0.4, interFrameMaxError: 8, interPaletteMaxError: 8 },
        delay: Array.from({ length: number }, () => showMs),
      })
      .toBuffer();
  };
  for (const quality of QUALITIES) {
    const made = await encode(frames, quality, delayMs);
    if (made.byteLength <= maxBytes) return made;
  }
  const half = Array.from({ length: Math.ceil(frames.byteLength / frameBytes / 2) }, (_, at) =>
    frames.subarray(2 * at * frameBytes, (2 * at + 1) * frameBytes),
  );
  const made = await encode(Buffer.concat(half), QUALITIES.at(-1)!, 2 * delayMs);
  if (made.byteLength > maxBytes) throw new Error(`larger than ${maxBytes} bytes whatever is left out`);
  return made;
}
