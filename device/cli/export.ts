import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import { exportFootage, openAsGuest, type Exported } from '../library/index.ts';
import { loadSettings } from '../settings/index.ts';
import { isoTime, megabytes, showProgress, untilInterrupted } from './progress.ts';
import { joinDashes, parseTime, TIMES_HELP } from './time.ts';
import { friendlyPath, loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';

/** The tables of a movie are kept in memory: 43 MB for a day of 25 pictures a second. */
const MAX_RANGE_MS = 86_400_000;

export const verb: Verb = {
  help: `
usage: spyoncino export --camera ID --from TIME --to TIME FILE.mp4 [options]

Copies a stretch of a camera's footage into a file that begins and ends exactly then, without encoding it anew;
the agent may be running. Where the camera's picture changed (codec, size) it goes on in FILE.2.mp4. Gaps keep
their length, and are told. The file notes what it was cut from, and the camera's hash chain notes the file:
\`spyoncino verify FILE.mp4\` proves that it was not altered.

  --camera ID   as configured
  --from TIME   first moment
  --to TIME     last moment, not included
  --force       replace FILE.mp4 if it is there
  --json        one JSON object: {"files", "coverage", "gaps", "damaged"}

${TIMES_HELP}

${PLACES_HELP}
`,
  async run(argv) {
    const { values, positionals } = parse(
      joinDashes(argv, ['--from', '--to']),
      {
        ...PLACES,
        camera: { type: 'string' },
        from: { type: 'string' },
        to: { type: 'string' },
        force: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
      true,
    );
    const { camera, from, to } = values;
    const [file, ...more] = positionals;
    if (
      camera === undefined ||
      from === undefined ||
      to === undefined ||
      file === undefined ||
      more.length > 0
    ) {
      throw new CodedError('USAGE', 'export takes --camera, --from, --to and one FILE.mp4');
    }
    const nowUtcMs = systemClock.utcMs();
    const fromUtcMs = parseTime('from', from, nowUtcMs);
    const toUtcMs = parseTime('to', to, nowUtcMs, fromUtcMs);
    if (toUtcMs <= fromUtcMs) throw new CodedError('USAGE', '--to must be later than --from');
    if (toUtcMs - fromUtcMs > MAX_RANGE_MS)
      throw new CodedError('USAGE', 'a day at most goes into one export');
    if (!values.force && existsSync(file)) {
      throw new CodedError('USAGE', `${file} is there already; --force replaces it`);
    }
    return await untilInterrupted(async (signal) => {
      const log = createLog({ name: 'export', level: 'warn' });
      const { settings } = await loadSettings(loadOptions(values));
      using library = await openAsGuest(settings.dataDir, { signal, clock: systemClock, log });
      const progress = showProgress();
      const exported = await exportFootage(library, {
        ...{ cameraId: camera, fromUtcMs, toUtcMs, signal },
        path: resolve(file),
        onProgress: (done, total) =>
          progress.show(`${file}: ${megabytes(done)} of ${megabytes(total)} (${percent(done, total)} %)`),
      }).finally(() => progress.clear());
      process.stdout.write(values.json ? `${JSON.stringify(asJson(exported))}\n` : asText(exported));
      return 0;
    });
  },
};

const percent = (done: number, total: number): number => Math.floor((100 * done) / Math.max(total, 1));

function asText({ files, gaps, damaged }: Exported): string {
  const span = (startUtcMs: number, endUtcMs: number): string =>
    `${isoTime(startUtcMs)} to ${isoTime(endUtcMs)} (${((endUtcMs - startUtcMs) / 1000).toFixed(1)} s)`;
  const lines = [
    ...files.flatMap(({ path, startUtcMs, endUtcMs, sizeBytes, sha256, chain }) => [
      `${friendlyPath(path)}  ${span(startUtcMs, endUtcMs)}, ${megabytes(sizeBytes)}`,
      `  sha256 ${sha256}, link ${chain.position} of the chain`,
    ]),
    ...gaps.map(({ startUtcMs, endUtcMs }) => `no footage  ${span(startUtcMs, endUtcMs)}`),
    ...damaged.map(
      ({ sourceId, startUtcMs, endUtcMs }) => `damaged  ${span(startUtcMs, endUtcMs)} of ${sourceId}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}

/** Keys as on the bus. */
function asJson({ files, coverage, gaps, damaged }: Exported) {
  const span = ({ startUtcMs, endUtcMs }: { startUtcMs: number; endUtcMs: number }) => ({
    start_ts: startUtcMs,
    end_ts: endUtcMs,
  });
  return {
    files: files.map((file) => ({
      path: file.path,
      ...span(file),
      size_bytes: file.sizeBytes,
      sha256: file.sha256,
      pictures: file.pictures,
      chain: file.chain,
    })),
    coverage: coverage.map(span),
    gaps: gaps.map(span),
    damaged: damaged.map((damage) => ({ ...span(damage), source_id: damage.sourceId })),
  };
}
