import type { Verb } from './verb.ts';
export const verb: Verb = { help: '', run: () => Promise.resolve(0) };
