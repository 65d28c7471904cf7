import fc from 'fast-check';
import { expect, test } from 'vitest';
import { homeOf } from '../../../device/update/index.ts';
import { isNewer, wayBack } from '../../../device/update/judge.ts';
import { rangeOf } from '../../../device/update/range-server.ts';
import { meaningOf, type RaucStatus } from '../../../device/update/rauc.ts';
import { compareVersions } from '../../../device/update/version.ts';

const code = (wanted: string) => expect.objectContaining({ code: wanted });

const number = fc.nat({ max: 20 });
const preview = fc.option(
  fc.array(fc.oneof(number.map(String), fc.constantFrom('rc', 'beta')), { minLength: 1, maxLength: 3 }),
);
const version = fc
  .tuple(number, number, number, preview)
  .map(([a, b, c, words]) => `${a}.${b}.${c}${words ? `-${words.join('.')}` : ''}`);

test('versions have one order', () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      const [ab, ba, bc, ac] = [
        compareVersions(a, b)!,
        compareVersions(b, a)!,
        compareVersions(b, c)!,
        compareVersions(a, c)!,
      ];
      expect(Math.sign(ab)).toBe(-Math.sign(ba) + 0);
      if (ab <= 0 && bc <= 0) expect(ac).toBeLessThanOrEqual(0);
    }),
  );
  const ordered = [
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1',
    '1.2.0',
    '1.10.0',
    '2.0.0',
  ];
  expect(ordered.toSorted((a, b) => compareVersions(a, b)!)).toEqual(ordered);
});

test('what is no version is never newer', () => {
  fc.assert(
    fc.property(fc.string(), version, (text, running) => {
      if (compareVersions(text, running) !== null) return;
      expect(() =>
        isNewer({ compatible: 'x', version: text }, { compatible: 'x', version: running }),
      ).toThrow(code('UPDATE_OLDER'));
    }),
  );
});

test('a bundle is judged by board first, then by version', () => {
  const running = { compatible: 'pi', version: '1.2.0' };
  expect(isNewer({ compatible: 'pi', version: '1.3.0' }, running)).toBe(true);
  expect(isNewer({ compatible: 'pi', version: '1.2.0' }, running)).toBe(false);
  expect(() => isNewer({ compatible: 'pi', version: '1.2.0-rc.1' }, running)).toThrow(code('UPDATE_OLDER'));
  expect(() => isNewer({ compatible: 'jetson', version: '1.1.0' }, running)).toThrow(
    code('UPDATE_WRONG_BOARD'),
  );
});

test('there is a way back only into a slot that is known to be good', () => {
  const status = (bootStatus: string | null, booted: string | null = 'A'): RaucStatus => ({
    compatible: 'pi',
    booted,
    slots: ['A', 'B'].map((bootName) => ({
      name: `rootfs.${bootName}`,
      bootName,
      state: bootName === booted ? 'booted' : 'inactive',
      bootStatus,
      version: null,
    })),
  });
  expect(wayBack(status('good')).bootName).toBe('B');
  for (const none of [status('bad'), status(null), status('good', null)]) {
    expect(() => wayBack(none)).toThrow(code('UPDATE_NO_WAY_BACK'));
  }
});

test('only what was flashed with our image updates itself; others are told how', () => {
  const image = 'ID=debian\nIMAGE_ID=spyoncino\nIMAGE_VERSION="1.2.3"\n';
  const home = (osRelease: string, env = {}, isContainer = false) => homeOf({ osRelease, env, isContainer });
  expect(home(image, { INVOCATION_ID: 'x' })).toEqual({ kind: 'image', version: '1.2.3' });
  expect(home(image, {}, true)).toMatchObject({
    kind: 'container',
    howTo: expect.stringContaining('compose'),
  });
  expect(home(image, { BALENA: '1' }, true)).toMatchObject({ kind: 'balena' });
  expect(home('ID=debian\n', { INVOCATION_ID: 'x' })).toMatchObject({
    kind: 'systemd',
    howTo: expect.stringContaining('scripts/install'),
  });
  expect(home('')).toMatchObject({ kind: 'checkout' });
  expect(home('IMAGE_ID=spyoncino\n')).toMatchObject({ kind: 'checkout' });
});

test('what RAUC says has a meaning, or is told as it is', () => {
  expect(meaningOf('signature verification failed: Verify error: self-signed certificate').code).toBe(
    'UPDATE_UNSIGNED',
  );
  expect(meaningOf('Failed mounting bundle: No space left on device').code).toBe('UPDATE_NO_SPACE');
  const noService = 'Error retrieving slot status via D-Bus: Could not connect: No such file or directory';
  expect(meaningOf(noService).code).toBe('UPDATE_FAILED');
  const unknown = meaningOf('rauc-Message: 15:52:00: reading\nsomething else happened\n');
  expect(unknown).toMatchObject({
    code: 'UPDATE_FAILED',
    message: expect.stringContaining('something else happened'),
  });
});

test('a range lies within the file, or is none', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 100 }),
      fc.option(fc.nat({ max: 120 })),
      fc.option(fc.nat({ max: 120 })),
      (size, from, to) => {
        const range = rangeOf(`bytes=${from ?? ''}-${to ?? ''}`, size);
        if (!range) return;
        expect(range.from).toBeGreaterThanOrEqual(0);
        expect(range.to).toBeLessThanOrEqual(size);
        expect(range.from).toBeLessThan(range.to);
      },
    ),
  );
  expect(rangeOf('bytes=0-0', 10)).toEqual({ from: 0, to: 1 });
  expect(rangeOf('bytes=-4', 10)).toEqual({ from: 6, to: 10 });
  expect(rangeOf('bytes=4-', 10)).toEqual({ from: 4, to: 10 });
  expect(rangeOf('bytes=10-', 10)).toBeNull();
  expect(rangeOf('bytes=1-2,4-5', 10)).toBeNull();
});
