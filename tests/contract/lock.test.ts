import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { missingPlatformPackages, type LockedPackages } from '../../scripts/complete-lock.ts';

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: LockedPackages };

test('the lock file is complete, so that `npm ci` takes it on every platform', () => {
  expect(missingPlatformPackages(packages), 'run `node scripts/complete-lock.ts`').toEqual({});
});

test('both supported processors get their Node and media binaries', () => {
  for (const cpu of ['x64', 'arm64']) {
    expect(packages).toHaveProperty([`node_modules/node-linux-${cpu}`, 'version']);
    expect(packages).toHaveProperty([`node_modules/@seydx/node-av-linux-${cpu}`, 'version']);
  }
});

test('a package of another platform gets its platform from its name', () => {
  const locked: LockedPackages = {
    '': {},
    'node_modules/tool': {
      version: '1.0.0',
      dev: true,
      optionalDependencies: {
        '@tool/linux-arm64-musl': '1.0.0',
        '@tool/win32-x64': '1.0.0',
        '@tool/here': '1.0.0',
      },
    },
    'node_modules/tool/node_modules/@tool/here': { version: '1.0.0' },
  };
  expect(missingPlatformPackages(locked)).toEqual({
    'node_modules/@tool/linux-arm64-musl': {
      version: '1.0.0',
      dev: true,
      optional: true,
      os: ['linux'],
      cpu: ['arm64'],
      libc: ['musl'],
    },
    'node_modules/@tool/win32-x64': {
      version: '1.0.0',
      dev: true,
      optional: true,
      os: ['win32'],
      cpu: ['x64'],
    },
  });
});
