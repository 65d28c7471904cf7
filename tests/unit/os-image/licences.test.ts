import { expect, test } from 'vitest';
import { unpackedPackages } from '../../../os-image/build/bill.ts';
import { licenceNames, licensed } from '../../../os-image/build/licences.ts';

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: tool

Files: *
Copyright: 2001 Somebody
License: GPL-2+

Files: contrib/*
Copyright: 2002 Somebody else
License: Expat or GPL-2+
License: Vendor-only

License: GPL-2+
 On Debian systems the text of this license: is in /usr/share/common-licenses/GPL-2.
`;

test('each licence that a machine-readable copyright file names, once', () => {
  expect(licenceNames(copyright)).toEqual(['Expat', 'GPL-2+', 'Vendor-only']);
  expect(licenceNames('This is free software.\nLicense: who knows\n')).toBeNull();
});

test('by the identifiers of SPDX where there are some; a file of prose is named', () => {
  const [component] = unpackedPackages('tool\t1\tall\n');
  expect(licensed(component!, copyright).licenses).toEqual([
    { license: { id: 'MIT' } },
    { license: { id: 'GPL-2.0-or-later' } },
    { license: { name: 'Vendor-only' } },
  ]);
  expect(licensed(component!, 'prose').licenses).toEqual([
    { license: { name: 'see usr/share/doc/tool/copyright of the image' } },
  ]);
  expect(licensed(component!, null).licenses).toEqual([{ license: { name: 'unknown' } }]);
});
