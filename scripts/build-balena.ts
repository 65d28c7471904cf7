/**
 * The folder that `balena push` takes: the committed sources, and beside them what balena looks for at the top. The
 * image is the one of os-image/docker/Dockerfile; only how it starts is balena's.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const HELP = `usage: scripts/build-balena FOLDER

Puts what is committed into FOLDER (new, or empty), as a balena release:

  balena push FLEET --source FOLDER

The release is called as package.json says.`;

const root = fileURLToPath(new URL('..', import.meta.url));
const inBalena = (name: string): string => join(root, 'os-image/balena', name);

/** `FROM image` → `FROM --platform=linux/ARCH image`, which balena fills in for each device type. */
export const forBalena = (dockerfile: string): string =>
  dockerfile.replaceAll(/^FROM /gm, 'FROM --platform=linux/%%BALENA_ARCH%% ');

function main([folder]: readonly string[]): number {
  if (folder === undefined || folder === '--help') {
    process.stdout.write(`${HELP}\n`);
    return folder === undefined ? 2 : 0;
  }
  const out = resolve(folder);
  if (existsSync(join(out, 'package.json'))) {
    process.stderr.write(`${folder} holds sources already: name a new folder.\n`);
    return 1;
  }
  mkdirSync(out, { recursive: true });
  const archive = execFileSync('git', ['archive', '--format=tar', 'HEAD'], { cwd: root, maxBuffer: 1 << 28 });
  execFileSync('tar', ['-x', '-C', out], { input: archive });
  const dockerfile = readFileSync(join(root, 'os-image/docker/Dockerfile'), 'utf8');
  writeFileSync(
    join(out, 'Dockerfile.template'),
    `${forBalena(dockerfile).trimEnd()}\n${readFileSync(inBalena('Dockerfile.end'), 'utf8')}`,
  );
  copyFileSync(inBalena('docker-compose.yml'), join(out, 'docker-compose.yml'));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  writeFileSync(
    join(out, 'balena.yml'),
    readFileSync(inBalena('balena.yml'), 'utf8').replace(/^version: .*$/m, `version: ${version}`),
  );
  process.stdout.write(`Ready: balena push FLEET --source ${folder}\n`);
  return 0;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
