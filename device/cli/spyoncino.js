#!/usr/bin/env node
// Plain JavaScript on purpose: it may be started by any Node and hands over to the pinned one.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const pinned = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
// A small young generation: an agent that has nothing to do is 18 MB lighter.
const flags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=2'];

if (!existsSync(pinned)) {
  process.stderr.write('spyoncino: not installed yet. Run ./scripts/run, or npm ci, first.\n');
  process.exit(1);
}
const args = process.argv.slice(2);
// The name of the original system, which knows no verbs.
if (args.length === 0 && basename(process.argv[1] ?? '') === 'spyoncino-modular') args.push('run');
const child = spawn(pinned, [...flags, main, ...args], { stdio: 'inherit' });
// A terminal's Ctrl-C reaches the child by itself; what is sent to us alone is passed on.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  if (signal) process.kill(process.pid, signal);
  else process.exit(code ?? 1);
});
