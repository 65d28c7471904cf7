import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parsePreset, PRESETS, withExtraArgs } from '../../../device/cli/preset.ts';

test('presets have the names that operators know; none is auto, another is refused with the list', () => {
  for (const name of ['auto', 'sim', 'usb', 'rtsp']) expect(parsePreset(name)).toBe(name);
  expect(parsePreset(undefined)).toBe('auto');
  expect(parsePreset('')).toBe('auto');
  for (const name of ['toString', 'USB', 'webcam']) {
    expect(() => parsePreset(name)).toThrow(/auto, sim, usb, rtsp/);
  }
  expect(Object.keys(PRESETS)).toEqual(['auto', 'sim', 'usb', 'rtsp']);
});

test('extra arguments come before what was typed, as a shell would split them', () => {
  expect(withExtraArgs(['--preset', 'usb'])).toEqual(['--preset', 'usb']);
  expect(withExtraArgs(['--preset', 'usb'], '  --log-level debug\n--preset sim ')).toEqual([
    ...['--log-level', 'debug', '--preset', 'sim', '--preset', 'usb'],
  ]);
  expect(withExtraArgs([], `--video "two words.mp4" --data-dir='/a b'/c ""`)).toEqual([
    ...['--video', 'two words.mp4', '--data-dir=/a b/c', ''],
  ]);
  for (const open of ['"', "a 'b", `--video "it's`]) {
    expect(() => withExtraArgs([], open)).toThrow(/not closed/);
  }
});

test('whatever words are quoted come out as they went in', () => {
  const word = fc.string().filter((text) => !text.includes('"'));
  fc.assert(
    fc.property(fc.array(word), (words) => {
      expect(withExtraArgs([], words.map((text) => `"${text}"`).join(' '))).toEqual(words);
    }),
  );
});
