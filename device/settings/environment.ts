/**
 * The environment as a layer over config.yaml: `SPYONCINO_BUS__PORT=1884` is `bus.port: 1884`,
 * `SPYONCINO_CAMERAS__PORCH__RTSP_URL=…` is that key of camera `porch` (made if there is none);
 * `SPYONCINO_CAMERAS__PORCH__PASSWORD`, `SPYONCINO_BUS__BRIDGE__PASSWORD` and a few more (`SECRET_PATHS`) are those of secrets.yaml. Text is taken
 * as it is, everything else is read as YAML. An empty variable counts as unset, as compose files cannot leave one out.
 */
import { parse } from 'yaml';
import { nearest } from './nearest.ts';
import { unknownKey, type Problem } from './problems.ts';
import { childOf, isTree, keysOf, setAt, typesOf, type Path, type SchemaNode, type Tree } from './tree.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentLayer {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  /** Variables by the path that they set, as JSON. */
  readonly origins: ReadonlyMap<string, string>;
}

const PREFIX = 'SPYONCINO_';

/** Keys of secrets.yaml that a variable may set, as text. */
const SECRET_PATHS: ReadonlySet<string> = new Set([
  'bus.bridge.password',
  ...['telegram.token', 'telegram.chat_id', 'webhook.url', 'webhook.secret', 'email.smtp_password'],
  ...['email.smtp_username', 'authentication.setup_password'],
  ...['access_key_id', 'secret_access_key', 'session_token'].map((key) => `storage.remote.${key}`),
]);

/** Writes what `env` says into `config` and `secrets`. */
export function applyEnvironment(
  env: Environment,
  config: Tree,
  secrets: Tree,
  schema: SchemaNode,
): EnvironmentLayer {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const origins = new Map<string, string>();
  // In this order a variable for a whole section comes before those for single keys of it.
  const variables = Object.entries(env)
    .filter(([name, text]) => name.startsWith(PREFIX) && text !== undefined && text !== '')
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, text = ''] of variables) {
    const [section = '', ...keys] = keysIn(name, config);
    if (SECRET_PATHS.has([section, ...keys].join('.')) && !keysOf(schema).includes(section)) {
      origins.set(JSON.stringify([section, ...keys]), name);
      setAt(secrets, [section, ...keys], text);
      continue;
    }
    if (!keysOf(schema).includes(section)) {
      if (keys.length > 0) warnings.push(ignored(name, section, schema));
      continue;
    }
    try {
      const path = place([section, ...keys], config);
      origins.set(JSON.stringify(path), name);
      if (path.length === 3 && section === 'cameras' && keys[1] === 'password') {
        setAt(secrets, ['cameras', idAt(config, path), 'password'], text);
      } else if (SECRET_PATHS.has(path.join('.'))) setAt(secrets, path, text);
      else setAt(config, path, read(text, schemaOf(path, schema)));
    } catch (error) {
      problems.push({ path: [name], text: (error as Error).message });
    }
  }
  return { problems, warnings, origins };
}

function ignored(name: string, section: string, schema: SchemaNode): string {
  const meant = nearest(section, keysOf(schema));
  return `${name} is ignored: there is no section "${section}"${meant ? `; did you mean ${PREFIX}${meant.toUpperCase()}__…?` : ''}`;
}

type Place = [string | number, ...(string | number)[]];

/** The path with the camera's id replaced by its place in the list. */
function place([section, id, ...rest]: readonly [string, ...string[]], config: Tree): Place {
  if (section !== 'cameras' || id === undefined) return [section, ...(id === undefined ? [] : [id]), ...rest];
  const cameras = (config['cameras'] ??= []);
  if (!Array.isArray(cameras)) throw new Error('cannot be applied: cameras is not a list');
  const places = cameras.flatMap((camera: unknown, at) => (variableName(camera) === id ? [at] : []));
  if (places.length > 1) throw new Error('fits several cameras (for - in an id a variable has _)');
  return [section, places[0] ?? cameras.push({ camera_id: id }) - 1, ...rest];
}

/** Ids may begin, end or be full of what separates keys, so those that exist are looked for first. */
function keysIn(name: string, config: Tree): string[] {
  const text = name.slice(PREFIX.length).toLowerCase();
  const cameras = Array.isArray(config['cameras']) ? config['cameras'] : [];
  const [id] = cameras
    .flatMap((camera) => variableName(camera) ?? [])
    .filter((id) => `${text}__`.startsWith(`cameras__${id}__`))
    .toSorted((a, b) => b.length - a.length);
  if (id === undefined) return text.split('__');
  const rest = text.slice(`cameras__${id}__`.length);
  return ['cameras', id, ...(rest === '' ? [] : rest.split('__'))];
}

const variableName = (camera: unknown): string | null =>
  isTree(camera) && typeof camera['camera_id'] === 'string' ? camera['camera_id'].replaceAll('-', '_') : null;

const idAt = (config: Tree, path: Path): string =>
  (config['cameras'] as { camera_id: string }[])[path[1] as number]!.camera_id;

function schemaOf(path: Path, schema: SchemaNode): SchemaNode {
  let node = schema;
  for (const key of path) {
    const next = childOf(node, key);
    if (next === null) throw new Error(unknownKey(String(key), keysOf(node)));
    node = next;
  }
  return node;
}

function read(text: string, schema: SchemaNode): unknown {
  if (typesOf(schema).every((type) => type === 'string')) return text;
  try {
    return parse(text) as unknown;
  } catch {
    throw new Error('cannot be read as a YAML value');
  }
}
