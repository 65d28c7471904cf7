/** Entry of every verb: `spyoncino <verb> …`. */
import { enableCompileCache, getCompileCacheDir } from 'node:module';

// Stripped and compiled modules are kept on disk: a small board starts in half the time. Told to threads and child
// processes as well: a thread that strips types by itself holds 30 MB for it.
enableCompileCache();
const cacheDir = getCompileCacheDir();
if (cacheDir !== undefined) process.env['NODE_COMPILE_CACHE'] ??= cacheDir;
const { main } = await import('./cli/index.ts');
process.exitCode = await main(process.argv.slice(2));
