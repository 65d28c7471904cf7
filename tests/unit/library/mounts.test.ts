import { expect, test } from 'vitest';
import { hasTurnedReadOnly } from '../../../device/library/mounts.ts';

const MOUNTS = String.raw`
27 1 254:0 / / rw,relatime - ext4 /dev/root rw,errors=remount-ro
42 27 7:0 / /data/media rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro,emergency_ro
43 27 7:1 / /data/my\040disk rw,relatime shared:7 - ext4 /dev/sdb1 ro
44 27 7:2 / /data/swapped rw,relatime - ext4 /dev/sdc1 rw,emergency_ro
45 27 7:3 / /data/swapped rw,relatime - ext4 /dev/sdd1 rw
`;

test.each([
  ['/data', false],
  ['/data/media', true],
  ['/data/media/clips', true],
  ['/data/media2', false],
  ['/data/my disk', true],
  ['/data/swapped', false],
])('the file system at %s has turned read-only: %s', (path, is) => {
  expect(hasTurnedReadOnly(MOUNTS, path)).toBe(is);
});

test('nothing is known where there are no mounts to read', () => {
  expect(hasTurnedReadOnly('', '/data')).toBe(false);
});
