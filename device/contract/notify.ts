/** Notifications: what is told, to whom, and what became of it. Times are UTC ms. */
import type { ErrorReport } from './errors.ts';
import type { EventSummary } from './library.ts';

/** Ways by which people are told. */
export const CHANNELS = ['telegram', 'webhook', 'email', 'mqtt', 'gpio'] as const;
export type ChannelName = (typeof CHANNELS)[number];

/** The module that tells by this way. */
export const notifierId = (channel: ChannelName): string => `modules.output.${channel}_notifier`;

/** In `disarmed` nothing is told; what is recorded does not depend on it. */
export const ARM_MODES = ['disarmed', 'home', 'away', 'night'] as const;
export type ArmMode = (typeof ARM_MODES)[number];

/** Days as in `Date`: 0 is Sunday. */
export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** A moment of any day: minutes from midnight, or from sunrise or sunset (before: negative). */
export interface DayMoment {
  readonly from: 'midnight' | 'sunrise' | 'sunset';
  readonly minutes: number;
}

/** From one moment of the day to another, over midnight where that is earlier; `days` are those it begins on. */
export interface Hours {
  readonly days: readonly Weekday[];
  readonly from: DayMoment;
  readonly to: DayMoment;
}

/** What a channel tells of. An empty list asks for nothing in particular, so everything fits. */
export interface RouteSettings {
  readonly labels: readonly string[];
  readonly zones: readonly string[];
  readonly cameras: readonly string[];
  readonly armModes: readonly ArmMode[];
  readonly hours: readonly Hours[];
}

/** Switches the arm mode by itself. */
export interface ArmSwitch {
  readonly days: readonly Weekday[];
  readonly at: DayMoment;
  readonly mode: ArmMode;
}

export interface PlaceSettings {
  /** IANA name; null: that of the machine. */
  readonly timeZone: string | null;
  /** Without one the sun rises at 6:00 and sets at 18:00. */
  readonly location: { readonly latitude: number; readonly longitude: number } | null;
}

interface ChannelSettings {
  readonly enabled: boolean;
  readonly route: RouteSettings;
  /** Messages per camera. */
  readonly rateLimit: { readonly maxEvents: number; readonly perMs: number };
}

/** Commands in a chat. */
export interface BotSettings {
  readonly enabled: boolean;
  readonly token: string | null;
  readonly apiRoot: string;
  readonly timeZone: string | null;
  readonly allowGroups: boolean;
  /** Strangers get no answer. */
  readonly isSilent: boolean;
  /** Of one user. */
  readonly rateLimit: { readonly maxEvents: number; readonly perMs: number };
  /** By which the first admin is made; null: only secrets.yaml makes one. */
  readonly setupPassword: string | null;
  readonly superuserId: number | null;
  readonly userIds: readonly number[];
}

export interface WebhookSettings extends ChannelSettings {
  readonly url: string | null;
  /** Signs every request; null: unsigned. */
  readonly secret: string | null;
  /** More headers, from secrets.yaml. */
  readonly headers: Readonly<Record<string, string>>;
  readonly requireHttps: boolean;
  /** PEM file of who vouches for the receiver; null: whom the system trusts. */
  readonly caFile: string | null;
  readonly timeoutMs: number;
  /** Stills up to this size go along; 0: none. */
  readonly maxBinaryBytes: number;
}

export interface TelegramSettings extends ChannelSettings {
  readonly token: string | null;
  readonly apiRoot: string;
  readonly chatIds: readonly string[];
  readonly timeoutMs: number;
  readonly maxFileBytes: number;
  /** An animated picture comes between still and clip. */
  readonly preview: boolean;
}

export interface EmailSettings extends ChannelSettings {
  readonly host: string | null;
  readonly port: number;
  /** `starttls`: refuse to go on without TLS. `tls`: from the first byte. `none`: only for a server on this machine. */
  readonly security: 'starttls' | 'tls' | 'none';
  readonly caFile: string | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly from: string;
  readonly recipients: readonly string[];
  readonly timeoutMs: number;
  readonly maxAttachmentBytes: number;
  /** An animated picture is shown in the mail, which waits for it. */
  readonly preview: boolean;
}

export interface MqttSettings extends ChannelSettings {
  /** Before the paths of pictures and clips; null: paths alone. No slash at its end. */
  readonly baseUrl: string | null;
}

/** Sirens and lights: they say that something happens, not what. */
export interface GpioChannelSettings extends ChannelSettings {
  /** Ids of outputs. */
  readonly outputs: readonly string[];
}

export interface NotifySettings {
  /** Events join an incident that is not quiet for longer than this. */
  readonly groupMs: number;
  /** What waited longer is told as one digest. */
  readonly freshMs: number;
  /** Incidents that wait for one receiver; beyond it the oldest go into the digest. */
  readonly maxWaiting: number;
  readonly place: PlaceSettings;
  readonly armSwitches: readonly ArmSwitch[];
  readonly bot: BotSettings;
  readonly telegram: TelegramSettings;
  readonly webhook: WebhookSettings;
  readonly email: EmailSettings;
  readonly gpio: GpioChannelSettings;
  readonly mqtt: MqttSettings;
}

/** One event as incidents remember it. */
export type IncidentEvent = Omit<EventSummary, 'clipId' | 'isProtected'>;

/** What happened together: over cameras and time. */
export interface Incident {
  readonly kind: 'incident';
  readonly events: readonly IncidentEvent[];
  /** The first clip of it that was complete. */
  readonly clipId: string | null;
  /** Animated picture of its first event that has one, relative to the data directory; rows of before have none. */
  readonly previewPath?: string;
}

/** Incidents that were not told one by one. */
export interface Digest {
  readonly kind: 'digest';
  readonly incidents: number;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  /** Events by camera, then label. */
  readonly events: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** `queued` until the receiver has it; `folded`: told by a digest. */
export type NoticeStatus = 'queued' | 'sent' | 'folded' | 'given_up';

/** One message to one receiver, and how far it is. */
export interface Notice {
  readonly noticeId: string;
  readonly content: Incident | Digest;
  readonly status: NoticeStatus;
  readonly createdUtcMs: number;
  /** Counts up with every change of the content. */
  readonly revision: number;
  /** The newest that the receiver has; 0: none. */
  readonly toldRevision: number;
  readonly toldUtcMs: number | null;
  /** The receiver's name of the message, by which it is edited. */
  readonly ref: string | null;
  /** Of the revision that is to be told. */
  readonly tries: number;
  /** A try has begun, and nobody knows yet how it ended. */
  readonly inFlight: boolean;
  /** A try was interrupted: the receiver may have it. */
  readonly maybeTold: boolean;
}

export type AttemptOutcome = 'queued' | 'retried' | 'sent' | 'failed' | 'folded' | 'given_up';

/** A line of the journal of notifications. */
export interface Attempt {
  readonly noticeId: string;
  readonly atUtcMs: number;
  readonly outcome: AttemptOutcome;
  readonly action: 'send' | 'edit';
  readonly tries: number;
  readonly reason: ErrorReport | null;
}

/** The same with the receiver that it was for. */
export interface AttemptRecord extends Attempt {
  readonly lane: string;
}
