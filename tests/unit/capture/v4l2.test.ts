import { expect, test } from 'vitest';
import { parseFormats } from '../../../device/capture/v4l2-devices.ts';
import { chooseMode, type V4l2Mode } from '../../../device/capture/v4l2-mode.ts';

const mode = (format: string, width: number, height: number, ...fps: number[]): V4l2Mode => ({
  format,
  width,
  height,
  fps,
});
const noWish = { width: null, height: null, fps: null };

const webcam = [
  mode('yuyv422', 640, 480, 5, 30),
  mode('yuyv422', 1280, 720, 5, 10),
  mode('yuyv422', 1920, 1080, 5),
  mode('mjpeg', 640, 480, 5, 30),
  mode('mjpeg', 1280, 720, 5, 30),
  mode('mjpeg', 1920, 1080, 5, 30),
];

test.each([
  ['the best up to 1280×720@30, by MJPEG where raw is too slow', webcam, noWish, ['mjpeg', 1280, 720, 30]],
  [
    'H.264 before MJPEG where both serve',
    [...webcam, mode('h264', 1280, 720, 30)],
    noWish,
    ['h264', 1280, 720, 30],
  ],
  [
    'the size that is asked for before a cheaper format',
    [...webcam, mode('h264', 1280, 720, 30)],
    { width: 1920, height: 1080, fps: 30 },
    ['mjpeg', 1920, 1080, 30],
  ],
  [
    'MJPEG before raw where both serve',
    webcam,
    { width: 640, height: 480, fps: 30 },
    ['mjpeg', 640, 480, 30],
  ],
  ['the rate that is asked for', webcam, { width: 640, height: 480, fps: 6 }, ['mjpeg', 640, 480, 5]],
  [
    'something larger only when there is nothing smaller',
    [mode('yuyv422', 1920, 1080, 30)],
    noWish,
    ['yuyv422', 1920, 1080, 30],
  ],
  [
    'a small mode before one above the limit',
    [mode('yuyv422', 1920, 1080, 30), mode('yuyv422', 320, 240, 30)],
    noWish,
    ['yuyv422', 320, 240, 30],
  ],
  ['a mode whose rates are unknown', [mode('mjpeg', 1280, 720)], noWish, ['mjpeg', 1280, 720, 0]],
] as const)('takes %s', (_, modes, wish, [format, width, height, fps]) => {
  expect(chooseMode(modes, wish)).toEqual({ format, width, height, fps });
});

test('a device without modes has no mode to take', () => {
  expect(chooseMode([], noWish)).toBeNull();
});

test('reads what libavdevice says of a device, also of one that scales freely', () => {
  const log =
    'Raw       :     yuyv422 :           YUYV 4:2:2 : 640x480 1280x720' +
    'Compressed:       mjpeg :          Motion-JPEG : 1280x720' +
    'Raw       : Unsupported :         Bayer BGBG10 : 2592x1944' +
    'Compressed:        h264 :                H.264 : {32-1280, 2}x{32-720, 2}';
  expect(parseFormats(log)).toEqual([
    {
      format: 'yuyv422',
      compressed: false,
      sizes: [
        { width: 640, height: 480 },
        { width: 1280, height: 720 },
      ],
    },
    { format: 'mjpeg', compressed: true, sizes: [{ width: 1280, height: 720 }] },
    {
      format: 'h264',
      compressed: true,
      sizes: [
        { width: 640, height: 360 },
        { width: 640, height: 480 },
        { width: 1280, height: 720 },
      ],
    },
  ]);
  expect(parseFormats('Inappropriate ioctl for device')).toEqual([]);
});
