import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseManifest, type InputSpec } from '../../../device/detect/manifest.ts';
import { createInputWriter, cropBytes } from '../../../device/detect/tensor.ts';

const spec = (change: Partial<InputSpec>): InputSpec => ({
  width: 4,
  height: 2,
  layout: 'nhwc',
  colour: 'rgb',
  type: 'float32',
  scale: 1,
  mean: [0, 0, 0],
  std: [1, 1, 1],
  ...change,
});
const triple = (min: number, max: number) => {
  const value = fc.double({ min, max, noNaN: true });
  return fc.tuple(value, value, value);
};

test('each value is where the layout wants it, in the order of colours and scale that the model was taught', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 24, maxLength: 24 }),
      fc.constantFrom('nhwc', 'nchw'),
      fc.constantFrom('rgb', 'bgr'),
      fc.constantFrom(1, 1 / 255),
      triple(-2, 2),
      triple(0.5, 3),
      (rgb, layout, colour, scale, mean, std) => {
        const input = spec({ layout, colour, scale, mean, std });
        const { data, dims } = createInputWriter(input)(rgb);
        expect(dims).toEqual(layout === 'nhwc' ? [1, 2, 4, 3] : [1, 3, 2, 4]);
        for (let pixel = 0; pixel < 8; pixel++)
          for (const channel of [0, 1, 2] as const) {
            const byte = rgb[pixel * 3 + (colour === 'rgb' ? channel : 2 - channel)]!;
            const at = layout === 'nhwc' ? pixel * 3 + channel : channel * 8 + pixel;
            expect(data[at]).toBeCloseTo((byte * scale - mean[channel]) / std[channel], 4);
          }
      },
    ),
  );
});

test('bytes as they are go in unchanged, also as whole numbers', () => {
  const input = spec({});
  const rgb = Uint8Array.from({ length: cropBytes(input) }, (_, i) => i * 10);
  expect([...createInputWriter(input)(rgb).data]).toEqual([...rgb]);
  const { data } = createInputWriter(spec({ type: 'int32' }))(rgb);
  expect(data).toBeInstanceOf(Int32Array);
  expect([...data]).toEqual([...rgb]);
});

test('plain bytes become planes, wherever they lie in memory', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 24, maxLength: 24 }),
      fc.constantFrom('rgb' as const, 'bgr' as const),
      fc.nat(7),
      (bytes, colour, offset) => {
        const rgb = new Uint8Array(new ArrayBuffer(24 + offset), offset);
        rgb.set(bytes);
        const { data } = createInputWriter(spec({ layout: 'nchw', colour }))(rgb);
        const plane = (channel: number): number[] =>
          [...rgb].filter((_, index) => index % 3 === (colour === 'rgb' ? channel : 2 - channel));
        expect([...data]).toEqual([...plane(0), ...plane(1), ...plane(2)]);
      },
    ),
  );
});

test('a manifest that says nothing about scale feeds plain bytes', () => {
  const text = `{schema: 1, id: x, name: x, format: onnx, files: [{path: x, sha256: ${'a'.repeat(64)}}],
    input: {width: 16, height: 16, layout: nchw, colour: rgb}, decoder: {name: yolo}, labels: [thing],
    licence: MIT, source: 'https://example.org'}`;
  expect(parseManifest(text, 'x').input).toMatchObject({
    type: 'float32',
    scale: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
  });
});
