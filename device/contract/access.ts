/** Who may do what. Roles are ordered: each may do what those before it may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export const mayActAs = (role: Role, needed: Role): boolean => ROLES.indexOf(role) >= ROLES.indexOf(needed);

/** The ways by which people and programs reach the agent. */
export type Surface = 'http' | 'mqtt' | 'websocket' | 'telegram' | 'relay' | 'gpio' | 'cli' | 'agent';

/** Who asks, after it was made sure. */
export interface Caller {
  /** Name of a user or token; `agent` for the agent itself. */
  readonly user: string;
  readonly role: Role;
  readonly surface: Surface;
}

/** What a client brings along to say who it is. */
export type Credentials =
  | { readonly kind: 'password'; readonly name: string; readonly password: string }
  /** The secret of a token, or of a session. */
  | { readonly kind: 'bearer'; readonly secret: string }
  /** Of a certificate whose key the client has, which was made sure; hex. */
  | { readonly kind: 'certificate'; readonly sha256: string };

/** Where a client comes from: locks are per address. */
export interface Origin {
  readonly surface: Surface;
  readonly address: string;
}

export interface Account {
  readonly name: string;
  readonly kind: 'user' | 'token';
  readonly role: Role;
  readonly createdUtcMs: number;
  readonly expiresUtcMs: number | null;
}

/** Who asked for what, and what came of it. Arguments are left out: they may hold what is nobody's business. */
export interface AuditLine {
  readonly utcMs: number;
  readonly caller: Caller;
  readonly command: string;
  /** Module, camera or account; null where the command has none. */
  readonly target: string | null;
  /** `ok`, or the code of the error. */
  readonly outcome: string;
}

/** Browsers send it only over TLS, only to this host, and never from pages of other sites. */
export const SESSION_COOKIE = '__Host-spyoncino';
