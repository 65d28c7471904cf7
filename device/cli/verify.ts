import { readFile } from 'node:fs/promises';
import { CodedError, ERRORS } from '../contract/errors.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import {
  openAsGuest,
  verifyFiles,
  type Anchor,
  type ChainProblem,
  type ChainReport,
  type FileVerdict,
} from '../library/index.ts';
import { loadSettings } from '../settings/index.ts';
import { isoTime, megabytes, showProgress, untilInterrupted } from './progress.ts';
import { friendlyPath, loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino verify FILE… [options]

Proves that clips, segments and exports are what was recorded, and says where they stand in the hash chain of their
camera; names the first difference of those that are not. The chain itself is computed anew from its first link.
Who owns this machine could compute a chain of his own, so keep links of it elsewhere (an \`export\` holds those of
its sources, \`clip.ready\` on the bus its own) and have them checked here as anchors.

  --anchor CAMERA:POSITION:HASH  a link that was written down elsewhere; may be repeated
  --anchors FILE                 the same from lines of \`spyoncino subscribe clip.ready segment.ready --json\`
  --json                         one JSON object: {"files", "chains"}
${PLACES_HELP}

Exit code 1 when a file or the chain is not what it was.
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      {
        ...PLACES,
        anchor: { type: 'string', multiple: true, default: [] },
        anchors: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
      },
      true,
    );
    const anchors = values.anchor.map(parseAnchor);
    for (const path of values.anchors) anchors.push(...(await readAnchors(path)));
    if (positionals.length === 0 && anchors.length === 0) {
      throw new CodedError('USAGE', 'verify takes files, or anchors of a chain');
    }
    return await untilInterrupted(async (signal) => {
      const log = createLog({ name: 'verify', level: 'warn' });
      const options = { signal, clock: systemClock, log, needsMedia: false };
      const { settings } = await loadSettings(loadOptions(values));
      using library = await openAsGuest(settings.dataDir, options);
      const progress = showProgress();
      const { files, chains } = await verifyFiles(library, {
        ...{ paths: positionals, anchors, signal },
        onProgress: (path, done, total) =>
          progress.show(`${friendlyPath(path)}: ${megabytes(done)} of ${megabytes(total)}`),
      }).finally(() => progress.clear());
      if (values.json) {
        process.stdout.write(
          `${JSON.stringify({ files: files.map(fileJson), chains: chains.map(chainJson) })}\n`,
        );
      } else {
        process.stdout.write([...files.map(fileText), ...chains.map(chainText)].join(''));
      }
      const isGood =
        files.every(({ state, recut }) => state === 'unaltered' && recut !== 'different') &&
        chains.every(({ problems }) => problems.length === 0);
      if (!isGood && !values.json)
        process.stderr.write(`${ERRORS.FOOTAGE_ALTERED.advice}  [FOOTAGE_ALTERED]\n`);
      return isGood ? 0 : 1;
    });
  },
};

function parseAnchor(text: string): Anchor {
  const [, cameraId, position, hash] = /^([^:]+):(\d+):([0-9a-f]{64})$/i.exec(text) ?? [];
  if (cameraId === undefined || hash === undefined) {
    throw new CodedError('USAGE', `--anchor takes CAMERA:POSITION:HASH, not "${text}"`);
  }
  return { cameraId, position: Number(position), hash: hash.toLowerCase(), from: '--anchor' };
}

/** Every line that names a camera and a link of its chain; others are passed over. */
async function readAnchors(path: string): Promise<readonly Anchor[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CodedError('USAGE', (error as Error).message, { cause: error });
  }
  return text.split('\n').flatMap((line) => {
    let message: { payload?: { camera_id?: unknown; chain?: { position?: unknown; hash?: unknown } | null } };
    try {
      message = JSON.parse(line) as typeof message;
    } catch {
      return [];
    }
    const { camera_id, chain } = message.payload ?? {};
    if (
      typeof camera_id !== 'string' ||
      typeof chain?.position !== 'number' ||
      typeof chain.hash !== 'string'
    ) {
      return [];
    }
    return [{ cameraId: camera_id, position: chain.position, hash: chain.hash, from: path }];
  });
}

const STATES: Readonly<Record<FileVerdict['state'], string>> = {
  unaltered: 'is what was recorded',
  altered: 'is NOT what was recorded',
  unproven: 'cannot be proven: the chain was tampered with',
  unknown: 'is not known to any chain of this device',
};

function fileText({ path, state, cameraId, link, difference, recut }: FileVerdict): string {
  const lines = [`${friendlyPath(path)} ${STATES[state]}`];
  if (link) {
    const { kind, fileId, position, startUtcMs, endUtcMs } = link;
    lines.push(
      `  link ${position} of ${cameraId}: ${kind} ${fileId}, ${isoTime(startUtcMs)} to ${isoTime(endUtcMs)}`,
    );
  }
  if (difference) {
    const { atBytes, how, startUtcMs, endUtcMs } = difference;
    const when = startUtcMs === null ? '' : `, shown ${isoTime(startUtcMs)}`;
    const until = endUtcMs === null ? '' : ` to ${isoTime(endUtcMs)}`;
    lines.push(`  ${how} at byte ${atBytes}${when}${until}`);
  }
  if (recut === 'same') lines.push('  cut again from its sources, it is the same');
  if (recut === 'different') lines.push('  cut again from its sources, it is another');
  return `${lines.join('\n')}\n`;
}

function chainText({ cameraId, links, first, last, hash, anchors, problems }: ChainReport): string {
  const lines = [
    links === 0
      ? `chain of ${cameraId}: has no links`
      : `chain of ${cameraId}: links ${first} to ${last}${problems.length === 0 ? ', whole' : ''}; ${
          anchors === 1 ? '1 anchor fits' : `${anchors} anchors fit`
        }; last hash ${hash}`,
    ...problems.map((problem) => `  ${problemText(problem)}`),
  ];
  return `${lines.join('\n')}\n`;
}

function problemText(problem: ChainProblem): string {
  const { type, position } = problem;
  if (type === 'removed') return `links ${position} to ${problem.until} were removed`;
  if (type === 'altered') return `link ${position} (${problem.fileId}) was altered`;
  if (type === 'moved') {
    return `link ${position} (${problem.fileId}) was moved: it belongs at ${problem.belongsAt}`;
  }
  const { anchor } = problem;
  return type === 'rewritten'
    ? `the chain was computed anew at or before link ${position}: ${anchor.from} has another hash`
    : `the chain was cut off before link ${anchor.position}, which ${anchor.from} has`;
}

/** Keys as on the bus. */
const fileJson = ({ path, sizeBytes, sha256, state, cameraId, link, difference, recut }: FileVerdict) => ({
  ...{ path, size_bytes: sizeBytes, sha256, state, camera_id: cameraId, recut },
  link: link && {
    position: link.position,
    kind: link.kind,
    file_id: link.fileId,
    start_ts: link.startUtcMs,
    end_ts: link.endUtcMs,
    hash: link.hash,
  },
  difference: difference && {
    at_bytes: difference.atBytes,
    how: difference.how,
    start_ts: difference.startUtcMs,
    end_ts: difference.endUtcMs,
  },
});

const chainJson = ({ cameraId, problems, ...chain }: ChainReport) => ({
  camera_id: cameraId,
  ...chain,
  problems: problems.map((problem) => ({
    type: problem.type,
    position: problem.position,
    detail: problemText(problem),
  })),
});
