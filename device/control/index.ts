export type { CommandOutcome } from '../contract/commands.ts';
export { Access, SECRET_PREFIX, type AccessOptions } from './access/access.ts';
export { AuditFile } from './audit.ts';
export { CommandDoor, type DoorOptions, type Handlers, type Order } from './door.ts';
