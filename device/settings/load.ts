import { hostname } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import type { ChannelName } from '../contract/notify.ts';
import type { Settings } from '../contract/settings.ts';
import { translateOldKeys, translateOldSecrets, type OldKey } from './aliases.ts';
import { applyEnvironment } from './environment.ts';
import { parseYaml, readSecretYaml, readText, type YamlFile } from './files.ts';
import { fingerprintOf } from './fingerprint.ts';
import { History } from './history.ts';
import { problemsOf, requirement, type Problem } from './problems.ts';
import { dataDirOf, resolveSettings, type Surroundings } from './resolve.ts';
import { config as configSchema, secrets as secretsSchema } from './schema.ts';
import type { CameraConfig, CameraInput, Config } from './schema.ts';
import {
  configJsonSchema,
  isTree,
  pathName,
  secretsJsonSchema,
  takeOut,
  valueAt,
  type Path,
  type SchemaNode,
  type Tree,
} from './tree.ts';
import { warningsOf } from './warnings.ts';

export interface LoadOptions {
  readonly configDir: string;
  /** Name of the file within `configDir`. */
  readonly configFile?: string;
  /** What the file would say, in place of what it says. */
  readonly configText?: string;
  /** Fail when the file does not exist. Else a missing one is an empty one. */
  readonly required?: boolean;
  /** Where data goes unless `storage.path` says otherwise. */
  readonly dataDir: string;
  /** Somebody asked for this `dataDir` when they started us: it wins over `storage.path`. */
  readonly dataDirAsked?: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Wins over everything else. */
  readonly logLevel?: string;
  /** Wins over `system.resilience.enabled`. */
  readonly resilience?: boolean;
  /** false: nothing is copied to a bucket, whatever `storage.remote` says. */
  readonly uploads?: boolean;
  /** Wins over `enabled` of the ways by which people are told, and ask. */
  readonly outputs?: Readonly<Partial<Record<ChannelName | 'bot', boolean>>>;
  /** In place of the configured cameras. */
  readonly cameras?: readonly CameraInput[];
  /** Of the configured cameras only those that have this key. */
  readonly camerasWith?: 'rtsp_url' | 'usb_port';
  /** When no camera is configured. */
  readonly fallbackCameras?: readonly CameraInput[];
  /** Settings of another version (see `LoadedSettings.ignored`) that may stay without effect. */
  readonly tolerated?: readonly string[];
  /** Of this agent. */
  readonly version?: string;
}

export interface LoadedSettings {
  /** Complete and deeply frozen. */
  readonly settings: Settings;
  /** The text of config.yaml; empty without a file. */
  readonly text: string;
  /** What the text says: plain values, no defaults. */
  readonly written: Tree;
  /** What config.yaml and environment say together, with every default; no secrets. */
  readonly config: Config;
  /** Of `written`. */
  readonly fingerprint: string;
  /** Files that were read, weakest first, then `environment` if it had a say. */
  readonly sources: readonly string[];
  /** Names of settings without effect: another version took this file, and this one does not know them. */
  readonly ignored: readonly string[];
  /** Allowed, but probably not meant. */
  readonly warnings: readonly string[];
}

/**
 * config.yaml, then secrets.yaml, then the environment (see `applyEnvironment`); later ones win.
 * Throws CONFIG_INVALID with all problems at once, CONFIG_UNREADABLE, or CONFIG_SECRETS_EXPOSED.
 */
export async function loadSettings(options: LoadOptions): Promise<LoadedSettings> {
  const { configDir, configFile = 'config.yaml', required = false, env } = options;
  const configPath = join(configDir, configFile);
  const text = options.configText ?? (await readText(configPath));
  const file = text === null ? null : parseYaml(configPath, text);
  if (!file && required) throw new CodedError('CONFIG_UNREADABLE', `${configPath} does not exist`);
  const secretFile = await readSecretYaml(join(configDir, 'secrets.yaml'));

  const written = copyOf(file);
  const config = structuredClone(written);
  const warningIn =
    (source: YamlFile | null) =>
    ({ code, path, text }: OldKey): string => {
      const line = lineIn(source, path);
      return `${code}: ${line === null ? '' : `${line}: `}${pathName(path, config)} ${text}`;
    };
  const secrets = copyOf(secretFile);
  const oldKeys = [
    ...translateOldKeys(config).map(warningIn(file)),
    ...translateOldSecrets(secrets, config).map(warningIn(secretFile)),
  ];
  const schema = configJsonSchema();
  const environment = applyEnvironment(env, config, secrets, schema);
  const fingerprint = fingerprintOf(written);
  const isFromEnvironment = (path: Path): boolean => variableFor(path, environment.origins) !== null;
  const { parsed, ignored } = await parseConfig(config, fingerprint, isFromEnvironment, schema, options);
  const parsedSecrets = secretsSchema.safeParse(secrets, { error: requirement });
  const complaints = [
    ...environment.problems.map((problem) => complaint(problem, config, () => null)),
    ...problemsOf(parsed.error?.issues ?? [], config, schema).map((problem) =>
      complaint(problem, config, (path) => variableFor(path, environment.origins) ?? lineIn(file, path)),
    ),
    ...problemsOf(parsedSecrets.error?.issues ?? [], secrets, secretsJsonSchema(), true).map((problem) =>
      complaint(problem, secrets, (path) => lineIn(secretFile, path) ?? 'secrets'),
    ),
  ];
  if (complaints.length > 0 || !parsed.success || !parsedSecrets.success) throw invalid(complaints);

  const effective = { ...parsed.data, cameras: chooseCameras(parsed.data.cameras, options) };
  const settings = resolveSettings(effective, parsedSecrets.data, surroundings(options));
  return {
    settings: withFlags(settings, options),
    text: text ?? '',
    written,
    config: effective,
    fingerprint,
    sources: [
      ...[file, secretFile].flatMap((source) => source?.path ?? []),
      ...(environment.origins.size > 0 ? ['environment'] : []),
    ],
    ignored: ignored.map(({ name }) => name),
    warnings: [
      ...oldKeys,
      ...ignored.map(otherVersionIn(file)),
      ...environment.warnings,
      ...warningsOf(effective, parsedSecrets.data),
    ],
  };
}

interface Ignored extends Problem {
  readonly name: string;
}

const otherVersionIn =
  (file: YamlFile | null) =>
  ({ name, path, text }: Ignored): string => {
    const line = lineIn(file, path);
    return `CONFIG_OTHER_VERSION: ${line === null ? '' : `${line}: `}${name} ${text}; it has no effect`;
  };

/**
 * A box that came back from an update must start with what was written for that. So where the history says that another version
 * took this very file, what does not fit is taken out of `config`, until the rest does; also what may stay of it in a file that was
 * changed since. `isFromEnvironment`: nobody's history knows that.
 */
async function parseConfig(
  config: Tree,
  fingerprint: string,
  isFromEnvironment: (path: Path) => boolean,
  schema: SchemaNode,
  options: LoadOptions,
): Promise<{ parsed: ReturnType<typeof configSchema.safeParse>; ignored: readonly Ignored[] }> {
  const parse = () => configSchema.safeParse(config, { error: requirement });
  const ignored: Ignored[] = [];
  let parsed = parse();
  if (parsed.success) return { parsed, ignored };
  const wasTaken = await tookAnother(config, fingerprint, options);
  const { tolerated = [] } = options;
  while (!parsed.success) {
    const others = problemsOf(parsed.error.issues, config, schema)
      .map(({ path, text }) => ({ path, text, name: pathName(path, config) }))
      .filter(({ name, path }) => (wasTaken || tolerated.includes(name)) && !isFromEnvironment(path));
    // The last first, so that places in lists stay what they were.
    const out = others.toReversed().filter(({ path }) => takeOut(config, path));
    if (out.length === 0) break;
    ignored.push(...out.toReversed());
    parsed = parse();
  }
  return { parsed, ignored };
}

/** Whether an agent of another version ran on a configuration with this fingerprint. */
async function tookAnother(config: Tree, fingerprint: string, options: LoadOptions): Promise<boolean> {
  const path = valueAt(config, ['storage', 'path']);
  const dataDir = dataDirOf(surroundings(options), typeof path === 'string' ? path : undefined);
  const by = (await new History(join(dataDir, 'state')).find(fingerprint))?.version;
  return by !== undefined && by !== options.version;
}

function withFlags(
  settings: Settings,
  { logLevel, resilience, uploads = true, outputs = {} }: LoadOptions,
): Settings {
  const { logLevel: level, resilience: tester } = settings;
  const { notify } = settings.outputs;
  const flagged = <O extends { readonly enabled: boolean }>(output: O, name: 'bot' | ChannelName): O =>
    Object.freeze({ ...output, enabled: outputs[name] ?? output.enabled });
  return Object.freeze({
    ...settings,
    logLevel: logLevel ?? level,
    remote: uploads ? settings.remote : null,
    resilience: Object.freeze({ ...tester, enabled: resilience ?? tester.enabled }),
    outputs: Object.freeze({
      ...settings.outputs,
      notify: Object.freeze({
        ...notify,
        bot: flagged(notify.bot, 'bot'),
        telegram: flagged(notify.telegram, 'telegram'),
        webhook: flagged(notify.webhook, 'webhook'),
        email: flagged(notify.email, 'email'),
        gpio: flagged(notify.gpio, 'gpio'),
        mqtt: flagged(notify.mqtt, 'mqtt'),
      }),
    }),
  });
}

/** The settings of a machine that nobody has configured, with these cameras. Throws CONFIG_INVALID. */
export function defaultSettings(dataDir: string, cameras: readonly CameraInput[] = []): Settings {
  const config: Config = { ...configSchema.parse({}), cameras: parseCameras(cameras) };
  const secrets = secretsSchema.parse({});
  return resolveSettings(config, secrets, surroundings({ configDir: dataDir, dataDir }));
}

type Places = Pick<LoadOptions, 'configDir' | 'dataDir' | 'dataDirAsked'>;

const surroundings = ({ configDir, dataDir, dataDirAsked = false }: Places): Surroundings => ({
  configDir,
  dataDir,
  dataDirAsked,
  hostname: hostname(),
});

function chooseCameras(
  written: CameraConfig[],
  { cameras, camerasWith, fallbackCameras = [] }: LoadOptions,
): CameraConfig[] {
  if (cameras) return parseCameras(cameras);
  const chosen = camerasWith ? written.filter((camera) => (camera[camerasWith] ?? null) !== null) : written;
  return chosen.length > 0 ? chosen : parseCameras(fallbackCameras);
}

function parseCameras(inputs: readonly CameraInput[]): CameraConfig[] {
  const root = { cameras: inputs };
  const parsed = configSchema.pick({ cameras: true }).safeParse(root, { error: requirement });
  if (parsed.success) return parsed.data.cameras;
  throw invalid(
    problemsOf(parsed.error.issues, root, configJsonSchema()).map((problem) =>
      complaint(problem, root, () => null),
    ),
  );
}

/** A file whose top is not a map is left for the schema to refuse. */
const copyOf = (file: YamlFile | null): Tree => {
  const copy: unknown = structuredClone(file?.value ?? {});
  if (isTree(copy)) return copy;
  throw invalid([`${file?.path} must be a group of keys`]);
};

/** The variable that set `path`, or one around or below it. */
function variableFor(path: Path, origins: ReadonlyMap<string, string>): string | null {
  for (let length = path.length; length > 0; length--) {
    const variable = origins.get(JSON.stringify(path.slice(0, length)));
    if (variable !== undefined) return variable;
  }
  return null;
}

function lineIn(file: YamlFile | null, path: Path): string | null {
  const line = file?.lineOf(path) ?? null;
  return file && line !== null ? `${file.path}:${line}` : null;
}

function complaint(problem: Problem, root: unknown, originOf: (path: Path) => string | null): string {
  const origin = originOf(problem.path);
  return `${origin === null ? '' : `${origin}: `}${pathName(problem.path, root)} ${problem.text}`;
}

const invalid = (complaints: readonly string[]): CodedError =>
  new CodedError(
    'CONFIG_INVALID',
    complaints.length === 1 ? complaints[0] : complaints.map((text) => `\n  ${text}`).join(''),
  );
