import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseModules, parsePreset, PRESETS, withExtraArgs } from '../../../device/cli/selection.ts';

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

test('the resilience tester is added and left out by either name; left out wins', () => {
  expect(parseModules()).toEqual({});
  for (const name of ['modules.status.resilience_tester', 'resilience']) {
    expect(parseModules([name, name])).toEqual({ resilience: true });
    expect(parseModules([], [name])).toEqual({ resilience: false });
    expect(parseModules(['resilience'], [name])).toEqual({ resilience: false });
  }
});

test('ways of telling people are left out, or added, whatever the configuration says', () => {
  const skipped = [
    'telegram',
    'modules.output.webhook_notifier',
    'modules.output.email_notifier',
    'telegram-bot',
  ];
  expect(parseModules([], skipped)).toEqual({
    outputs: { telegram: false, webhook: false, email: false, bot: false },
  });
  expect(parseModules(['telegram', 'modules.output.webhook_notifier'], ['telegram'])).toEqual({
    outputs: { telegram: false, webhook: true },
  });
});

test('what is always there may be named, what is not in this version may be left out, nothing else', () => {
  expect(parseModules(['websocket', 'modules.storage.retention'], ['gif', 'analytics'])).toEqual({});
  expect(() => parseModules(['gif'])).toThrow(/modules\.event\.gif_builder is not in this version/);
  expect(() => parseModules([], ['ws'])).toThrow(/modules\.dashboard\.websocket_gateway cannot be left out/);
  expect(() => parseModules(['resilence'])).toThrow(/no module "resilence".*resilience/);
  expect(() => parseModules([], ['toString'])).toThrow(/no module/);
});
