import type { Account, AuditLine, Caller, Credentials, Origin, Role } from '../contract/access.ts';
import type { Door } from '../contract/commands.ts';
import type { KeyChange } from '../contract/config.ts';
import type { ErrorReport } from '../contract/errors.ts';
import type {
  ClipSummary,
  EventRecord,
  EventSummary,
  ListQuery,
  Page,
  Timeline,
} from '../contract/library.ts';
import type { TlsSource } from '../contract/tls.ts';
import type { Payload } from '../contract/topics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';

/** Who may, and who it is. */
export interface AccessPort {
  readonly hasOwner: boolean;
  readonly accounts: readonly Account[];
  authenticate(credentials: Credentials, origin: Origin): Promise<Caller>;
  claim(code: string, name: string, password: string, origin: Origin): Promise<void>;
  openSession(user: string): Promise<{ readonly secret: string; readonly expiresUtcMs: number }>;
  closeSession(secret: string): Promise<void>;
  addUser(name: string, role: Role, password: string): Promise<void>;
  setPassword(name: string, password: string): Promise<void>;
  addToken(name: string, role: Role, expiresUtcMs: number | null): Promise<string>;
  remove(name: string): Promise<void>;
}

/** Questions to the index. */
export interface FootagePort {
  listEvents(query: ListQuery & { readonly label?: string }): Promise<Page<EventSummary>>;
  getEvent(eventId: string): Promise<EventRecord | null>;
  listClips(query: ListQuery): Promise<Page<ClipSummary>>;
  getClip(clipId: string): Promise<ClipSummary | null>;
  timeline(query: {
    readonly cameraId: string;
    readonly startUtcMs: number;
    readonly endUtcMs: number;
  }): Promise<Timeline>;
}

export interface CameraView {
  readonly cameraId: string;
  readonly name: string;
  readonly enabled: boolean;
  /** What it last said of itself; null when it said nothing yet. */
  readonly status: Payload<'status.camera.*'> | null;
}

export interface ConfigView {
  readonly fingerprint: string;
  /** Without secrets. */
  readonly data: unknown;
}

export interface ConfigVersion {
  readonly fingerprint: string;
  readonly author: string;
  readonly utcMs: number;
  readonly changes: readonly KeyChange[];
}

export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly ErrorReport[];
}

export interface ControlApiOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls: TlsSource;
  /** The device's own authority, for clients to trust, as PEM. */
  readonly authority: () => string;
  readonly access: AccessPort;
  readonly door: Door;
  /** What is not a command, and changes something: who signs in, accounts. */
  readonly audit: (line: AuditLine) => void;
  readonly footage: FootagePort;
  /** Paths of footage start here. */
  readonly dataDir: string;
  readonly cameras: () => readonly CameraView[];
  readonly health: () => Payload<'status.health.summary'>;
  readonly ready: () => Readiness;
  readonly config: () => ConfigView;
  /** Newest first. */
  readonly configHistory: () => Promise<readonly ConfigVersion[]>;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<ControlApiLimits>;
}

export interface ControlApiLimits {
  readonly connections: number;
  /** A request that is not complete by then is given up. */
  readonly requestMs: number;
  readonly bodyBytes: number;
  /** Per address and minute. */
  readonly requestsPerMinute: number;
  /** Of these, those that try a password or code. */
  readonly attemptsPerMinute: number;
}
