import fc from 'fast-check';
import { expect, test } from 'vitest';
import { billOf, debianPackages, npmPackages, unpackedPackages } from '../../../os-image/build/bill.ts';

const status = `Package: libc6
Status: install ok installed
Architecture: arm64
Source: glibc
Version: 2.41-12+deb13u1
Description: GNU C Library
 Package: not-a-package

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: adduser
Status: install ok installed
Architecture: all
Version: 3.152
`;

test('of dpkg, what is installed, with the source that its security tracker knows', () => {
  expect(debianPackages(status).map(({ purl, properties }) => [purl, properties?.[0]?.value])).toEqual([
    ['pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=arm64&distro=trixie', 'glibc'],
    ['pkg:deb/debian/adduser@3.152?arch=all&distro=trixie', 'adduser'],
  ]);
});

test('what the recipe unpacks without dpkg is listed as well', () => {
  const [kernel] = unpackedPackages('linux-image-7\t7.3.4-1~bpo13+1\tarm64\n');
  expect(kernel?.purl).toBe('pkg:deb/debian/linux-image-7@7.3.4-1~bpo13%2B1?arch=arm64&distro=trixie');
});

test('of npm: name with its scope, licence, hash in hexadecimal', () => {
  const packages = {
    '': { version: '0.1.0' },
    'node_modules/@a/b/node_modules/c': { version: '1.0.0', license: 'MIT' },
    'node_modules/@a/b': { version: '2.0.0', license: 'SEE LICENSE IN x', integrity: 'sha512-AAEC' },
    'node_modules/d': { version: '3.0.0', license: '(MIT OR Apache-2.0)' },
  };
  expect(
    npmPackages({ packages }).map(({ hashes, licenses, purl }) => [purl, licenses?.[0], hashes?.[0]]),
  ).toEqual([
    ['pkg:npm/c@1.0.0', { expression: 'MIT' }, undefined],
    [
      'pkg:npm/%40a/b@2.0.0',
      { license: { name: 'SEE LICENSE IN x' } },
      { alg: 'SHA-512', content: '000102' },
    ],
    ['pkg:npm/d@3.0.0', { expression: '(MIT OR Apache-2.0)' }, undefined],
  ]);
});

test('the same packages in any order, however often, give the same bill, and its references are unique', () => {
  const component = fc
    .tuple(fc.stringMatching(/^[a-z][a-z0-9+.-]{0,8}$/), fc.stringMatching(/^[0-9][0-9.]{0,4}$/))
    .map(([name, version]) => unpackedPackages(`${name}\t${version}\tall\n`)[0]!);
  fc.assert(
    fc.property(fc.array(component), (components) => {
      const bill = billOf('1.0.0', '2026-01-01T00:00:00.000Z', components);
      expect(billOf('1.0.0', '2026-01-01T00:00:00.000Z', [...components, ...components].reverse())).toEqual(
        bill,
      );
      expect(bill.serialNumber).toMatch(/^urn:uuid:[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/);
      const refs = bill.components.map((one) => one['bom-ref']);
      expect(new Set(refs).size).toBe(refs.length);
    }),
  );
});
