/** How a box gets a new version, as everybody sees it. */

/** `waiting`: for an event that is being recorded. `installed`: the next start is that of the new version. */
export const UPDATE_STATES = [
  'idle',
  'checking',
  'downloading',
  'waiting',
  'installing',
  'installed',
] as const;
export type UpdateState = (typeof UPDATE_STATES)[number];

export const UPDATE_OUTCOMES = ['trial', 'succeeded', 'rolled_back'] as const;
export type UpdateOutcome = (typeof UPDATE_OUTCOMES)[number];

/** Label of the event by which the health gate proves that footage is kept. Nobody is told of it. */
export const GATE_LABEL = 'health-check';
