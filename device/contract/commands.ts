/**
 * The command table: everything that can be asked of the agent, whatever surface the request comes by. On the
 * bus a request is `dashboard.control.command`, the answer `dashboard.control.result` with its `request_id`.
 */
import { z } from 'zod';
import type { Caller, Role } from './access.ts';
import type { ErrorReport } from './errors.ts';
import { ARM_MODES, CHANNELS } from './notify.ts';

interface CommandSpec {
  readonly about: string;
  /** The least that a caller must be. */
  readonly role: Role;
  /** What it is about must be named: a camera (`camera_id`) or a module (`module`). */
  readonly target: 'camera' | 'module' | null;
  readonly arguments: z.ZodType;
}

const none = z.strictObject({});
const hours = z.number().int().min(1).max(168).default(24);
const utcMs = z.number();
const updateSource = z.string().regex(/\S/).max(2048).optional();

export const COMMANDS = {
  'pipeline.pause': {
    about: 'The module does nothing until it is resumed or the agent restarts.',
    role: 'operator',
    target: 'module',
    arguments: none,
  },
  'pipeline.resume': {
    about: 'A paused module goes on.',
    role: 'operator',
    target: 'module',
    arguments: none,
  },
  'module.disable': {
    about: 'The same as pipeline.pause, under the name that operators use for whole modules.',
    role: 'operator',
    target: 'module',
    arguments: none,
  },
  'module.enable': {
    about: 'The same as pipeline.resume.',
    role: 'operator',
    target: 'module',
    arguments: none,
  },
  'camera.state': {
    about: 'Switches a camera on or off: the same as `enabled` in its configuration.',
    role: 'operator',
    target: 'camera',
    arguments: z.strictObject({ enabled: z.boolean() }),
  },
  'camera.snapshot': {
    about: 'A JPEG of what the camera shows now; the next one takes its place.',
    role: 'viewer',
    target: 'camera',
    arguments: none,
  },
  'event.create': {
    about: 'A test detection: an event of the camera, with its clip, as if something had been seen.',
    role: 'operator',
    target: 'camera',
    arguments: z.strictObject({
      label: z.string().regex(/\S/).default('test'),
      duration_seconds: z.number().min(1).max(60).default(5),
    }),
  },
  'storage.cleanup': {
    about: 'Looks at the space now; `aggressive` also deletes what need not be kept free yet.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ mode: z.enum(['normal', 'aggressive']).default('normal') }),
  },
  'storage.compare': {
    about:
      'Lists the bucket and compares it with what should be in it; what is missing there and still here is sent again.',
    role: 'operator',
    target: null,
    arguments: none,
  },
  'storage.protect': {
    about: 'Footage of an event or clip is never deleted by the agent, until it is released.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ id: z.string(), protected: z.boolean().default(true) }),
  },
  'recordings.list': {
    about: 'Events with footage, newest first.',
    role: 'viewer',
    target: null,
    arguments: z.strictObject({
      camera_id: z.string().optional(),
      label: z.string().optional(),
      from_ts: utcMs.optional(),
      to_ts: utcMs.optional(),
      limit: z.number().int().min(1).max(500).default(20),
    }),
  },
  'recordings.get': {
    about: 'The file of a recording; made now where the footage is a range of continuous recording.',
    role: 'viewer',
    target: null,
    arguments: z.union([
      z.strictObject({ item_id: z.string() }),
      z.strictObject({ mode: z.literal('latest_for_camera'), camera_id: z.string() }),
    ]),
  },
  'analytics.timeline': {
    about: 'What happened when: coverage, gaps and events of the last hours, per camera.',
    role: 'viewer',
    target: null,
    arguments: z.strictObject({ hours, camera_id: z.string().optional() }),
  },
  'analytics.summary': {
    about: 'Numbers of events of the last hours, by camera and label.',
    role: 'viewer',
    target: null,
    arguments: z.strictObject({ hours }),
  },
  'arm.set': {
    about: 'Switches the arm mode, which decides what people are told; `disarmed`: nothing.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ mode: z.enum(ARM_MODES) }),
  },
  'arm.get': {
    about: 'The arm mode, since when, and what is next.',
    role: 'viewer',
    target: null,
    arguments: none,
  },
  'notifications.mute': {
    about: 'Nothing that begins in the next minutes is told, by any channel; 0 ends that.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ minutes: z.number().min(0).max(1440) }),
  },
  'notifications.list': {
    about: 'The journal of notifications: every attempt, newest first.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ limit: z.number().int().min(1).max(500).default(50) }),
  },
  'system.notification.test': {
    about: 'Sends a test to every receiver, or to those of one channel, and says what each of them answered.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ channel: z.enum(CHANNELS).optional() }),
  },
  'gpio.pulse': {
    about:
      'Runs a GPIO output: its pattern, or on for `seconds`; never longer than its `max_on_seconds`. One that runs already goes on as it was.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ output: z.string(), seconds: z.number().min(0.01).max(3600).optional() }),
  },
  'gpio.stop': {
    about: 'Switches a GPIO output off, or all of them.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ output: z.string().optional() }),
  },
  'system.status': {
    about: 'How all modules are: the same as status.health.summary.',
    role: 'viewer',
    target: null,
    arguments: none,
  },
  'system.factory_reset': {
    about:
      'Of a flashed box: it restarts and erases footage, configuration, accounts, keys and logs, for good. `confirm` must be `erase everything`.',
    role: 'admin',
    target: null,
    arguments: z.strictObject({ confirm: z.literal('erase everything') }),
  },
  'telegram.users': {
    about: 'Who may command by Telegram: lists them, adds one as operator, or removes one who was added so.',
    role: 'admin',
    target: null,
    arguments: z.union([
      z.strictObject({ action: z.literal('list') }),
      z.strictObject({ action: z.enum(['add', 'remove']), user_id: z.number().int() }),
    ]),
  },
  'config.get': {
    about: 'The configuration that counts now, or what is below one `key`; secrets are not in it.',
    role: 'operator',
    target: null,
    arguments: z.strictObject({ key: z.string().regex(/\S/).optional() }),
  },
  'config.update': {
    about:
      'Changes the configuration: `changes` is merged into it, or one `key` set; `reload` takes what was typed into the file.',
    role: 'admin',
    target: null,
    arguments: z.union([
      z.strictObject({ changes: z.record(z.string(), z.unknown()), dry_run: z.boolean().default(false) }),
      z.strictObject({
        key: z.string().regex(/\S/),
        value: z.unknown(),
        dry_run: z.boolean().default(false),
      }),
      z.strictObject({ reload: z.literal(true), dry_run: z.boolean().default(false) }),
    ]),
  },
  'config.rollback': {
    about: 'Back to a configuration by its fingerprint, or the beginning of it.',
    role: 'admin',
    target: null,
    arguments: z.strictObject({ fingerprint: z.string().regex(/^[0-9a-f]{6,64}$/) }),
  },
  'update.check': {
    about:
      'Whether there is something newer, and what; `source` is an address, a file on the box, or `usb`, else system.updates.source.',
    role: 'admin',
    target: null,
    arguments: z.strictObject({ source: updateSource }),
  },
  'update.install': {
    about:
      'Installs a newer version into the other slot and starts it; how far it is: status.update. Not while an event is recorded, unless `now`. `stream`: fetches only what differs, without a copy.',
    role: 'admin',
    target: null,
    arguments: z.strictObject({
      source: updateSource,
      now: z.boolean().default(false),
      stream: z.boolean().default(false),
      reboot: z.boolean().default(true),
    }),
  },
  'update.status': {
    about: 'How far an update is, what came of the last one, and what is in the slots.',
    role: 'viewer',
    target: null,
    arguments: none,
  },
  'update.rollback': {
    about: 'Back to the version in the other slot. Not while an event is recorded, unless `now`.',
    role: 'admin',
    target: null,
    arguments: z.strictObject({ now: z.boolean().default(false), reboot: z.boolean().default(true) }),
  },
  'resilience.toggle': {
    about: 'Arms or disarms a scenario of the resilience tester.',
    role: 'admin',
    target: null,
    arguments: z.strictObject({ name: z.string(), enabled: z.boolean() }),
  },
} as const satisfies Record<string, CommandSpec>;

export type CommandName = keyof typeof COMMANDS;
export type CommandArguments<C extends CommandName> = z.output<(typeof COMMANDS)[C]['arguments']>;

/** A request as it comes from outside; extra keys of the original system (`schema_version`, …) are let be. */
export const commandRequest = z.object({
  command: z.string(),
  module: z.string().optional(),
  camera_id: z.string().optional(),
  arguments: z.record(z.string(), z.unknown()).optional(),
  request_id: z.string().max(128).optional(),
});
export type CommandRequest = z.output<typeof commandRequest>;

export type CommandOutcome =
  | {
      readonly ok: true;
      readonly command: CommandName;
      readonly requestId: string | null;
      readonly result: unknown;
    }
  | {
      readonly ok: false;
      /** As it was sent; empty when there was none. */
      readonly command: string;
      readonly requestId: string | null;
      readonly error: ErrorReport;
    };

/** The one door, as surfaces see it: `request` is whatever came in, and nothing makes it throw. */
export interface Door {
  submit(request: unknown, caller: Caller): Promise<CommandOutcome>;
}
