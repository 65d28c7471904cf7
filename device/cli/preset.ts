import { CodedError } from '../contract/errors.ts';
import type { LoadOptions } from '../settings/index.ts';

/** Which cameras are watched, by the names of the original system. */
export const PRESETS = {
  auto: {},
  sim: { cameras: [{ camera_id: 'sim', name: 'Simulator', test_pattern: true }] },
  usb: { camerasWith: 'usb_port' },
  rtsp: { camerasWith: 'rtsp_url' },
} as const satisfies Record<string, Pick<LoadOptions, 'cameras' | 'camerasWith'>>;

export type Preset = keyof typeof PRESETS;

/** Nothing, or an empty variable, is `auto`. @throws CodedError USAGE */
export function parsePreset(name: string | undefined): Preset {
  if (name === undefined || name === '') return 'auto';
  if (Object.hasOwn(PRESETS, name)) return name as Preset;
  throw new CodedError('USAGE', `the preset is one of ${Object.keys(PRESETS).join(', ')}, not "${name}"`);
}

/**
 * Options from the environment come first, so that what was typed wins. Words are split at blanks; quotes hold
 * words together and are dropped.
 *
 * @throws CodedError USAGE when a quote is not closed
 */
export function withExtraArgs(typed: readonly string[], extra = ''): readonly string[] {
  const words = [...extra.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  );
  const rest = extra.replaceAll(/"[^"]*"|'[^']*'/g, '');
  if (/["']/.test(rest))
    throw new CodedError('USAGE', 'SPYONCINO_EXTRA_ARGS holds a quote that is not closed');
  return [...words, ...typed];
}
