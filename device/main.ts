/** Entry of every verb: `spyoncino <verb> …`. */
import { enableCompileCache } from 'node:module';

// Stripped and compiled modules are kept on disk: a small board starts in half the time.
enableCompileCache();
const { main } = await import('./cli/index.ts');
process.exitCode = await main(process.argv.slice(2));
