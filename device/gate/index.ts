export type { Ask } from './checks.ts';
export { runGate, type GateOptions, type Verdict } from './gate.ts';
export { addRun, gateReasonsOf, readRuns, type GateOutcome, type GateRun } from './report.ts';
