import type { Role } from '../../contract/access.ts';
import type { CommandName } from '../../contract/commands.ts';
import { CodedError } from '../../contract/errors.ts';
import { ARM_MODES } from '../../contract/notify.ts';
import {
  armReply,
  configReply,
  healthReply,
  recordingsReply,
  summaryReply,
  timelineReply,
  type ArmResult,
  type ConfigResult,
  type HealthResult,
  type RecordingsResult,
  type Reply,
  type SummaryResult,
  type TimelineResult,
} from './replies.ts';

/** What a command is given, and by which it asks. */
export interface ChatOrder {
  readonly words: readonly string[];
  readonly userId: number;
  readonly role: Role;
  readonly cameras: readonly string[];
  readonly timeZone: string | null;
  readonly utcMs: number;
  /** By the one door. @throws CodedError of the outcome */
  readonly ask: (
    command: CommandName,
    request?: { camera_id?: string; arguments?: object },
  ) => Promise<unknown>;
}

interface ChatCommand {
  readonly about: string;
  /** In the list of those who may use it only; what it asks for is judged by the door. */
  readonly role: Role;
  run(order: ChatOrder): Promise<Reply> | Reply;
}

/** Of the original system, and what people type by mistake. */
const ALIASES: Readonly<Record<string, string>> = {
  start: 'help',
  snapshot: 'snap',
  get: 'clip',
  stats: 'analytics',
  start_monitor: 'enable',
  stop_monitor: 'disable',
};

export const CHAT_COMMANDS: Readonly<Record<string, ChatCommand>> = {
  help: {
    about: 'what I understand',
    role: 'viewer',
    run: ({ role }) => ({
      text: Object.entries(CHAT_COMMANDS)
        .filter(([, command]) => role === 'admin' || command.role !== 'admin')
        .map(([name, { about }]) => `/${name} – ${about}`)
        .join('\n'),
    }),
  },
  whoami: {
    about: 'your id and role',
    role: 'viewer',
    run: ({ userId, role }) => ({ text: `${userId}, ${role}` }),
  },
  status: {
    about: 'how the device is',
    role: 'viewer',
    run: async ({ ask }) => healthReply((await ask('system.status')) as HealthResult),
  },
  snap: {
    about: 'a picture of now: /snap [camera]',
    role: 'viewer',
    async run(order) {
      const camera_id = cameraOf(order);
      const { path } = (await order.ask('camera.snapshot', { camera_id })) as { path: string };
      return { text: camera_id, photo: path };
    },
  },
  clip: {
    about: 'the newest clip: /clip [camera or id]',
    role: 'viewer',
    async run(order) {
      const [word] = order.words;
      const isCamera = word === undefined || order.cameras.includes(word);
      const wanted = isCamera ? { mode: 'latest_for_camera', camera_id: cameraOf(order) } : { item_id: word };
      const { path, item_id } = (await order.ask('recordings.get', { arguments: wanted })) as {
        path: string;
        item_id: string;
      };
      return { text: item_id, video: path };
    },
  },
  recordings: {
    about: 'what was recorded, to choose from: /recordings [camera]',
    role: 'viewer',
    async run({ words: [camera_id], ask, timeZone, utcMs }) {
      const wanted = { limit: 12, ...(camera_id === undefined ? {} : { camera_id }) };
      return recordingsReply((await ask('recordings.list', { arguments: wanted })) as RecordingsResult, {
        utcMs,
        timeZone,
      });
    },
  },
  timeline: {
    about: 'when something happened: /timeline [hours]',
    role: 'viewer',
    run: async (order) =>
      timelineReply(
        (await order.ask('analytics.timeline', hoursOf(order))) as TimelineResult,
        order.timeZone,
      ),
  },
  analytics: {
    about: 'how often what happened: /analytics [hours]',
    role: 'viewer',
    run: async (order) =>
      summaryReply((await order.ask('analytics.summary', hoursOf(order))) as SummaryResult, order.timeZone),
  },
  arm: {
    about: 'home, away, night or disarmed: /arm [mode]',
    role: 'operator',
    async run({ words: [mode], ask, timeZone }) {
      if (mode !== undefined) {
        return armReply((await ask('arm.set', { arguments: { mode } })) as ArmResult, timeZone);
      }
      const { text } = armReply((await ask('arm.get')) as ArmResult, timeZone);
      return { text, buttons: [ARM_MODES.map((name) => ({ text: name, press: `arm ${name}` }))] };
    },
  },
  disarm: {
    about: 'tell nobody anything',
    role: 'operator',
    run: async ({ ask, timeZone }) =>
      armReply((await ask('arm.set', { arguments: { mode: 'disarmed' } })) as ArmResult, timeZone),
  },
  mute: {
    about: 'quiet for a while: /mute 30m, /mute 2h, /mute 0',
    role: 'operator',
    run: async ({ words: [time = '30m'], ask, timeZone }) =>
      armReply(
        (await ask('notifications.mute', { arguments: { minutes: minutesOf(time) } })) as ArmResult,
        timeZone,
      ),
  },
  enable: {
    about: 'switch a camera on: /enable [camera]',
    role: 'operator',
    run: (order) => setCamera(order, true),
  },
  disable: {
    about: 'switch a camera off: /disable [camera]',
    role: 'operator',
    run: (order) => setCamera(order, false),
  },
  test: {
    about: 'a test message to all receivers',
    role: 'operator',
    async run({ ask }) {
      const { results } = (await ask('system.notification.test')) as {
        results: { target: string; error: { message: string } | null }[];
      };
      const lines = results.map(({ target, error }) => `${target}: ${error?.message ?? 'ok'}`);
      return { text: lines.join('\n') || 'There are no receivers.' };
    },
  },
  cleanup: {
    about: 'make room on the disk',
    role: 'operator',
    async run({ ask }) {
      await ask('storage.cleanup', { arguments: { mode: 'aggressive' } });
      return { text: 'Done.' };
    },
  },
  show_config: {
    about: 'the configuration, without secrets: /show_config [key]',
    role: 'admin',
    async run({ words: [key], ask }) {
      const wanted = key === undefined ? {} : { key };
      return configReply((await ask('config.get', { arguments: wanted })) as ConfigResult, key ?? null);
    },
  },
  config: {
    about: 'change a setting: /config key value',
    role: 'admin',
    async run({ words: [key, ...rest], ask }) {
      if (key === undefined || rest.length === 0)
        throw new CodedError('COMMAND_INVALID', '/config key value');
      const { summary } = (await ask('config.update', {
        arguments: { key, value: valueOf(rest.join(' ')) },
      })) as { summary: string };
      return { text: summary };
    },
  },
  whitelist_add: {
    about: 'let somebody command: /whitelist_add id',
    role: 'admin',
    run: (order) => changeUsers(order, 'add'),
  },
  whitelist_remove: {
    about: 'no longer: /whitelist_remove id',
    role: 'admin',
    run: (order) => changeUsers(order, 'remove'),
  },
  whitelist: { about: 'who may command', role: 'admin', run: (order) => changeUsers(order, 'list') },
};

export function commandOf(name: string): ChatCommand | null {
  const known = ALIASES[name] ?? (name === 'whitelist_list' ? 'whitelist' : name);
  return Object.hasOwn(CHAT_COMMANDS, known) ? CHAT_COMMANDS[known]! : null;
}

/** `/snap@attic_bot porch` → `snap`, [`porch`]; null: it is no command, or one for another bot. */
export function parseCommand(
  text: string,
  botName: string,
): { readonly name: string; readonly words: readonly string[] } | null {
  const [first = '', ...words] = text.trim().split(/\s+/);
  const match = /^\/([a-z_]{1,32})(?:@(\w+))?$/i.exec(first);
  if (!match) return null;
  const [, name = '', whom] = match;
  if (whom !== undefined && whom.toLowerCase() !== botName.toLowerCase()) return null;
  return { name: name.toLowerCase(), words };
}

async function setCamera(order: ChatOrder, enabled: boolean): Promise<Reply> {
  const camera_id = cameraOf(order);
  await order.ask('camera.state', { camera_id, arguments: { enabled } });
  return { text: `${camera_id} is ${enabled ? 'on' : 'off'}.` };
}

async function changeUsers(order: ChatOrder, action: 'add' | 'remove' | 'list'): Promise<Reply> {
  const [word] = order.words;
  const wanted = action === 'list' ? { action } : { action, user_id: Number(word) };
  const { users } = (await order.ask('telegram.users', { arguments: wanted })) as { users: number[] };
  return { text: `Who may command: ${users.join(', ') || 'nobody'}` };
}

/** The one that was named, else the first. */
function cameraOf({ words: [camera], cameras }: ChatOrder): string {
  const id = camera ?? cameras[0];
  if (id === undefined) throw new CodedError('CAMERA_UNKNOWN', 'there is none');
  return id;
}

const hoursOf = ({ words: [hours] }: ChatOrder) => ({
  arguments: hours === undefined ? {} : { hours: Number(hours) },
});

/** @throws CodedError COMMAND_INVALID */
export function minutesOf(time: string): number {
  const match = /^(\d{1,4})(m|h|)$/.exec(time);
  if (!match) throw new CodedError('COMMAND_INVALID', 'a time is like 30m or 2h');
  return Number(match[1]) * (match[2] === 'h' ? 60 : 1);
}

/** `5`, `true`, `null` and `[1]` are what they look like; all else is text. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
