/** When the box opens an access point of its own: the shell function itself, asked for every case. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

interface Now {
  readonly mode: 'join' | 'open';
  readonly seconds: number;
  readonly connected?: boolean;
  readonly known?: number;
  readonly clients?: number;
}

const script = 'os-image/overlay/usr/lib/spyoncino/wifi-mode';

const next = ({ mode, seconds, connected = false, known = 1, clients = 0 }: Now): string => {
  const args = [mode, seconds, connected ? 1 : 0, known, clients].map(String);
  return execFileSync('sh', ['-c', `. ./${script}; wifi_mode "$@"`, 'sh', ...args], {
    encoding: 'utf8',
  }).trim();
};

test('joining has a minute; then the access point opens, also where nothing is known', () => {
  expect(next({ mode: 'join', seconds: 59 })).toBe('join');
  expect(next({ mode: 'join', seconds: 60 })).toBe('open');
  expect(next({ mode: 'join', seconds: 60, known: 0 })).toBe('open');
});

test('in a network, by cable or radio, there is no access point', () => {
  for (const mode of ['join', 'open'] as const) {
    for (const seconds of [0, 60, 1000]) {
      for (const known of [0, 1])
        expect(next({ mode, seconds, known, clients: 1, connected: true })).toBe('join');
    }
  }
});

test('a known network is tried again every five minutes, but not while somebody uses the access point', () => {
  expect(next({ mode: 'open', seconds: 299 })).toBe('open');
  expect(next({ mode: 'open', seconds: 300 })).toBe('join');
  expect(next({ mode: 'open', seconds: 300, clients: 1 })).toBe('open');
  expect(next({ mode: 'open', seconds: 9999, known: 0 })).toBe('open');
});
