import { avGetPixFmtName, type Frame } from 'node-av/lib';
import { AVCOL_RANGE_JPEG, type AVPixelFormat } from 'node-av/constants';
import { CodedError } from '../contract/errors.ts';
import type { Polygon } from '../contract/geometry.ts';
import type { OnPicture } from './decoder.ts';
import { check } from './ffmpeg.ts';
import { blackPlanes } from './privacy-formats.ts';
import { spansOf, subsampled } from './privacy-spans.ts';

/** What to write into one plane of pictures of one shape. */
interface PlaneWork {
  /** A whole row in black, to copy pieces from. */
  readonly row: Buffer;
  readonly rows: number;
  /** row, first byte, end byte; and so on. */
  readonly runs: readonly number[];
}

/** Blackens areas of pictures. A picture in which it cannot is refused, never passed. */
export class PrivacyMask {
  readonly #polygons: readonly Polygon[];
  #shape = '';
  #work: readonly PlaneWork[] = [];

  constructor(polygons: readonly Polygon[]) {
    this.#polygons = polygons;
  }

  /** In place; memory that the decoder still predicts from is copied first. Throws PRIVACY_MASK_IMPOSSIBLE. */
  apply(picture: Frame): void {
    const work = this.#workFor(picture);
    check(picture.makeWritable(), 'masking a picture');
    const { data, linesize } = picture;
    for (const [index, { row, rows, runs }] of work.entries()) {
      const pixels = data?.[index];
      const stride = linesize[index] ?? 0;
      if (!pixels || stride < row.length || pixels.length < (rows - 1) * stride + row.length) {
        throw impossible(picture);
      }
      for (let at = 0; at < runs.length; at += 3) {
        const from = runs[at + 1]!;
        row.copy(pixels, runs[at]! * stride + from, from, runs[at + 2]);
      }
    }
  }

  #workFor(picture: Frame): readonly PlaneWork[] {
    const { width, height, format, colorRange } = picture;
    const shape = `${width}x${height}/${format}/${colorRange}`;
    if (shape === this.#shape) return this.#work;
    const planes = blackPlanes(format, colorRange === AVCOL_RANGE_JPEG);
    if (!planes) throw impossible(picture);
    const pixels = spansOf(this.#polygons, { width, height });
    this.#work = planes.map(({ shiftX, shiftY, black }): PlaneWork => {
      const samples = Math.ceil(width / (1 << shiftX));
      const spans = subsampled(pixels, shiftX, shiftY);
      return {
        row: Buffer.alloc(samples * black.length, Buffer.from(black)),
        rows: spans.length,
        runs: spans.flatMap((row, y) =>
          row.flatMap(([from, to]) => [y, from * black.length, to * black.length]),
        ),
      };
    });
    this.#shape = shape;
    return this.#work;
  }
}

/** Nobody is shown a picture before it is masked. */
export function masked(mask: PrivacyMask | null, show: OnPicture): OnPicture {
  if (!mask) return show;
  return (frame, pts) => {
    mask.apply(frame);
    return show(frame, pts);
  };
}

const impossible = ({ format }: Frame): CodedError =>
  new CodedError(
    'PRIVACY_MASK_IMPOSSIBLE',
    `pixel format ${avGetPixFmtName(format as AVPixelFormat) ?? format}`,
  );
