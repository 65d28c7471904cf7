import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** Where files are cheap: in memory, if the machine offers that. */
export const memoryFolder = (): string => (existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
