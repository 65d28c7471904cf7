/** Under which licences a Debian package is, from its `copyright` file. Pure. */
import type { Component } from './bill.ts';

/** Debian's short names where SPDX has others; those that SPDX has as well stand for themselves. */
const SPDX: Readonly<Record<string, string>> = {
  'Apache-2.0': 'Apache-2.0',
  'BSD-2-clause': 'BSD-2-Clause',
  'BSD-3-clause': 'BSD-3-Clause',
  'CC0-1.0': 'CC0-1.0',
  Expat: 'MIT',
  'GPL-1+': 'GPL-1.0-or-later',
  'GPL-2': 'GPL-2.0-only',
  'GPL-2+': 'GPL-2.0-or-later',
  'GPL-3': 'GPL-3.0-only',
  'GPL-3+': 'GPL-3.0-or-later',
  ISC: 'ISC',
  'LGPL-2': 'LGPL-2.0-only',
  'LGPL-2+': 'LGPL-2.0-or-later',
  'LGPL-2.1': 'LGPL-2.1-only',
  'LGPL-2.1+': 'LGPL-2.1-or-later',
  'LGPL-3': 'LGPL-3.0-only',
  'LGPL-3+': 'LGPL-3.0-or-later',
  MIT: 'MIT',
  'MPL-2.0': 'MPL-2.0',
  Zlib: 'Zlib',
  zlib: 'Zlib',
};

/**
 * Short names of all licences that a `copyright` file of the machine-readable format (DEP-5) names, sorted, each once; null
 * when it is prose.
 */
export function licenceNames(copyright: string): readonly string[] | null {
  if (!/^Format:/m.test(copyright)) return null;
  const names = [...copyright.matchAll(/^Licen[cs]e:[ \t]*(\S.*)$/gim)].flatMap(([, names = '']) =>
    names
      .split(/,|\b(?:and|or)\b/i)
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
    const id = SPDX[name];
    return { license: id === undefined ? { name } : { id } };
  });
  const unique = new Map(entries.map((entry) => [JSON.stringify(entry), entry]));
  return { ...component, licenses: [...unique.values()] };
}
