/** What clients say, and what is said to them beside messages of the bus. */
import { z } from 'zod';
import type { Role } from '../contract/access.ts';
import { commandRequest, type CommandOutcome } from '../contract/commands.ts';
import type { ErrorReport } from '../contract/errors.ts';

const MAX_GLOBS = 64;

export const said = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('auth'), token: z.string().min(1).max(512) }),
  z.strictObject({
    type: z.literal('subscribe'),
    topics: z.array(z.string().min(1).max(200)).max(MAX_GLOBS),
    /** So many of the messages that are kept, of these topics, first. */
    replay: z.number().int().min(0).max(10_000).default(0),
  }),
  commandRequest.extend({ type: z.literal('command') }),
]);
export type Said = z.output<typeof said>;

export type Told =
  | {
      readonly type: 'ready';
      readonly user: string;
      readonly role: Role;
      readonly topics: readonly string[];
    }
  | { readonly type: 'subscribed'; readonly topics: readonly string[] }
  | { readonly type: 'keepalive' }
  | ({ readonly type: 'result'; readonly request_id: string | null } & Omit<CommandOutcome, 'requestId'>)
  | { readonly type: 'error'; readonly error: ErrorReport };

/** Codes by which a link is closed: of RFC 6455, and 44xx like the HTTP status that says the same. */
export const CLOSE = { goingAway: 1001, policy: 1008, tryLater: 1013, unauthenticated: 4401 } as const;
