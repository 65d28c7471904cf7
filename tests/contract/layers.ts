/**
 * The rule of rooms: rooms share types, not modules. A pure description of who may import what, so that the
 * rule itself can be tested; `layers.test.ts` holds the product to it.
 */
import { posix } from 'node:path';

/** Specifiers of static imports, re-exports, dynamic imports and import types in a module's text. */
export function importsOf(source: string): readonly string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  const patterns = [
    /^\s*(?:import|export)\b[^;'"`]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map(([, name]) => name ?? ''));
}

/** `room` of `device/room/…`, `cloud-relay`, `device` for the files that join rooms, or null outside of both. */
function roomOf(path: string): string | null {
  const [top, room, ...rest] = path.split('/');
  if (top === 'cloud-relay') return top;
  if (top !== 'device' || room === undefined) return null;
  return rest.length > 0 ? room : 'device';
}

const JOINERS = new Set(['device', 'cli']);
/** Rooms that anybody may look into; they have no single face. */
const OPEN = new Set(['contract', 'kernel']);
/** The other face of a room with two sides: what a process needs that only talks to it. */
const FAR_SIDES = new Set(['device/detect/client.ts']);
const MAY_ALSO_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  kernel: ['contract'],
  default: ['contract', 'kernel'],
};
/** Packages that belong to one room: what only it may know. */
const OWNED_PACKAGES: Readonly<Record<string, string>> = {
  'node-av': 'capture',
  'node:sqlite': 'library',
  'prom-client': 'health',
  aedes: 'bus',
  fastify: 'dashboard',
  '@fastify': 'dashboard',
  ws: 'gateway',
  '@peculiar/x509': 'tls',
  grammy: 'notify',
  nodemailer: 'notify',
  minio: 'sync',
};

/** What is wrong with `file` (a path from the repository's root) importing `specifier`; null when nothing is. */
export function violation(file: string, specifier: string): string | null {
  const room = roomOf(file);
  if (room === null) return null;
  if (!specifier.startsWith('.')) {
    const name = Object.keys(OWNED_PACKAGES).find(
      (owned) => specifier === owned || specifier.startsWith(`${owned}/`),
    );
    const owner = name && OWNED_PACKAGES[name];
    if (!owner || owner === room) return null;
    return `${file} imports ${specifier}, which only device/${owner}/ may know: ask that room through its index.ts.`;
  }

  const target = posix.normalize(posix.join(posix.dirname(file), specifier));
  const other = roomOf(target);
  if (other === null) return `${file} imports ${target}: the product must run without tests and scripts.`;
  if (other === room) return null;
  if (JOINERS.has(room)) {
    const isFace = target === `device/${other}/index.ts` || FAR_SIDES.has(target);
    if (JOINERS.has(other) || OPEN.has(other) || isFace) return null;
    return `${file} imports ${target}: enter the room by its face, device/${other}/index.ts.`;
  }
  const allowed = MAY_ALSO_IMPORT[room] ?? MAY_ALSO_IMPORT['default'] ?? [];
  if (allowed.includes(other)) return null;
  const may = ['itself', ...allowed.map((name) => `device/${name}/`)].join(', ');
  return (
    `${file} imports ${target}: ${room} may import ${may}. Move a shared type to device/contract/, ` +
    `or take what you need as a parameter and let device/app.ts or device/camera.ts join the two.`
  );
}
