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
