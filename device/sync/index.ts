export type { Difference } from './compare.ts';
export type { Ledger } from './port.ts';
export type { Sent } from './send.ts';
export { Uploader, type UploaderOptions } from './uploader.ts';
