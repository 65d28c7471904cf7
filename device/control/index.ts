export {
  Access,
  SECRET_PREFIX,
  type Account,
  type AccessOptions,
  type Credentials,
  type Origin,
} from './access/access.ts';
export { AuditFile, type AuditLine } from './audit.ts';
export { CommandDoor, type CommandOutcome, type DoorOptions, type Handlers, type Order } from './door.ts';
