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

/** What `--module` and `--skip-module` can do about a module of the original system. */
type Choice = 'always' | 'pausable' | 'optional' | 'absent';

/** Its modules, with the short names that its command line took. */
const MODULES: readonly { id: string; choice: Choice; aliases: readonly string[] }[] = [
  { id: 'modules.input.camera_simulator', choice: 'pausable', aliases: ['sim', 'camera-sim'] },
  { id: 'modules.input.usb_camera', choice: 'pausable', aliases: ['usb'] },
  { id: 'modules.input.rtsp_camera', choice: 'pausable', aliases: ['rtsp'] },
  { id: 'modules.process.motion_detector', choice: 'always', aliases: ['motion'] },
  { id: 'modules.process.yolo_detector', choice: 'pausable', aliases: ['yolo'] },
  { id: 'modules.process.detection_event_router', choice: 'always', aliases: ['alert-router', 'person'] },
  { id: 'modules.process.zoning_filter', choice: 'always', aliases: ['zoning'] },
  { id: 'modules.event.deduplicator', choice: 'always', aliases: ['dedupe'] },
  { id: 'modules.event.snapshot_writer', choice: 'always', aliases: ['snapshot'] },
  { id: 'modules.event.clip_builder', choice: 'always', aliases: ['clip'] },
  { id: 'modules.event.gif_builder', choice: 'absent', aliases: ['gif'] },
  { id: 'modules.output.rate_limiter', choice: 'always', aliases: ['rate-limit'] },
  { id: 'modules.output.telegram_notifier', choice: 'optional', aliases: ['telegram'] },
  { id: 'modules.output.email_notifier', choice: 'optional', aliases: [] },
  { id: 'modules.output.webhook_notifier', choice: 'optional', aliases: [] },
  { id: 'modules.output.gpio_notifier', choice: 'optional', aliases: [] },
  { id: 'modules.output.mqtt_notifier', choice: 'optional', aliases: [] },
  { id: 'modules.storage.retention', choice: 'pausable', aliases: ['storage'] },
  { id: 'modules.storage.s3_uploader', choice: 'optional', aliases: ['s3'] },
  { id: 'modules.analytics.db_logger', choice: 'always', aliases: ['db-logger'] },
  { id: 'modules.analytics.event_logger', choice: 'absent', aliases: ['analytics'] },
  { id: 'modules.dashboard.control_api', choice: 'always', aliases: ['control-api'] },
  { id: 'modules.dashboard.websocket_gateway', choice: 'always', aliases: ['websocket', 'ws'] },
  { id: 'modules.dashboard.telegram_bot', choice: 'optional', aliases: ['telegram-bot'] },
  { id: 'modules.status.prometheus_exporter', choice: 'always', aliases: ['prom'] },
  { id: 'modules.status.resilience_tester', choice: 'optional', aliases: ['resilience'] },
];

/**
 * Of modules that are added and left out; the latter win. What is always there may be added, what is not in this
 * version may be left out: neither changes anything. What can be paused may be left out: see `pausedModules`.
 *
 * @throws CodedError USAGE for a name that is not known, and for what cannot be had
 */
export function parseModules(
  added: readonly string[] = [],
  skipped: readonly string[] = [],
): Pick<LoadOptions, 'resilience' | 'outputs' | 'uploads'> {
  const add = new Map(added.map(moduleBy));
  const skip = new Map(skipped.map(moduleBy));
  for (const [id, choice] of add) {
    if (choice === 'absent') throw new CodedError('USAGE', `${id} is not in this version`);
  }
  for (const [id, choice] of skip) {
    if (choice === 'always') throw new CodedError('USAGE', `${id} cannot be left out`);
  }
  const isWanted = (id: string): boolean | null => (skip.has(id) ? false : add.has(id) ? true : null);
  const resilience = isWanted(RESILIENCE);
  const outputs = Object.entries(OUTPUTS).flatMap(([name, id]) => {
    const wanted = isWanted(id);
    return wanted === null ? [] : [[name, wanted] as const];
  });
  return {
    ...(resilience === null ? {} : { resilience }),
    ...(skip.has(UPLOADER) ? { uploads: false } : {}),
    ...(outputs.length === 0 ? {} : { outputs: Object.fromEntries(outputs) }),
  };
}

/** Of modules that are left out: those that are there all the same, paused, until somebody enables them. */
export const pausedModules = (skipped: readonly string[] = []): readonly string[] =>
  skipped.map(moduleBy).flatMap(([id, choice]) => (choice === 'pausable' ? id : []));

const RESILIENCE = 'modules.status.resilience_tester';
const UPLOADER = 'modules.storage.s3_uploader';
const OUTPUTS = {
  telegram: 'modules.output.telegram_notifier',
  webhook: 'modules.output.webhook_notifier',
  email: 'modules.output.email_notifier',
  gpio: 'modules.output.gpio_notifier',
  mqtt: 'modules.output.mqtt_notifier',
  bot: 'modules.dashboard.telegram_bot',
} as const;

function moduleBy(name: string): [id: string, choice: Choice] {
  const found = MODULES.find(({ id, aliases }) => id === name || aliases.includes(name));
  if (found) return [found.id, found.choice];
  const known = MODULES.map(({ id, aliases }) => [id, ...aliases].join(' or '));
  throw new CodedError('USAGE', `there is no module "${name}"; there are ${known.join(', ')}`);
}
