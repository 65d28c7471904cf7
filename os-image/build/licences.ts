/** Under which licences a Debian package is, from its `copyright` file. Pure. */
import type { Component } from './bill.ts';

/** Names that SPDX knows as they are, but for upper and lower case. */
const SAME =
  '0BSD AFL-2.0 AFL-2.1 Apache-2.0 BSD-2-Clause BSD-3-Clause BSD-4-Clause BSD-4-Clause-UC Beerware BSL-1.0 CC-BY-3.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 ' +
  'FSFAP FSFUL FSFULLR GPL-2.0-only ISC Latex2e MIT MPL-1.1 MPL-2.0 MS-PL OpenSSL Sleepycat Unicode-DFS-2016 X11 Zlib curl';

/** Debian's short names → SPDX's, in lower case. `GPL-2`, `GPL-2.0` and so on with and without `+` as well. */
const SPDX = new Map<string, string>([
  ...SAME.split(' ').map((name): [string, string] => [name.toLowerCase(), name]),
  ['expat', 'MIT'],
  ['gpl-1', 'GPL-1.0-only'],
  ['gpl-1+', 'GPL-1.0-or-later'],
  ...['GPL-2.0', 'GPL-3.0', 'LGPL-2.0', 'LGPL-2.1', 'LGPL-3.0'].flatMap((name) =>
    [name, name.replace(/\.0$/, '')].flatMap((short): [string, string][] => [
      [short.toLowerCase(), `${name}-only`],
      [`${short.toLowerCase()}+`, `${name}-or-later`],
    ]),
  ),
]);

/**
 * Short names of all licences that a `copyright` file of the machine-readable format (DEP-5) names, sorted, each once; null
 * when it is prose.
 */
export function licenceNames(copyright: string): readonly string[] | null {
  if (!/^Format:/m.test(copyright)) return null;
  const names = [...copyright.matchAll(/^Licen[cs]e:[ \t]*(\S.*)$/gim)].flatMap(([, names = '']) =>
    names
      .split(/,|\s(?:and|or)\s/i)
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  );
  return names.length === 0 ? null : [...new Set(names)].sort();
}

/** With its licences; where nobody has written them down for machines, with the file that says them. */
export function licensed(component: Component, copyright: string | null): Component {
  const names = copyright === null ? null : licenceNames(copyright);
  const known = names ?? [
    copyright === null ? 'unknown' : `see usr/share/doc/${component.name}/copyright of the image`,
  ];
  const entries = known.map((name): { license: { id: string } | { name: string } } => {
    const id = SPDX.get(name.toLowerCase());
    return { license: id === undefined ? { name } : { id } };
  });
  const unique = new Map(entries.map((entry) => [JSON.stringify(entry), entry]));
  return { ...component, licenses: [...unique.values()] };
}
