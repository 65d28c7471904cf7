import { CodedError } from '../contract/errors.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import { fsck, FSCK_LEVELS, openAsGuest, type FootageFact } from '../library/index.ts';
import { recoverFootage } from '../record/index.ts';
import { loadSettings } from '../settings/index.ts';
import { megabytes, showProgress, untilInterrupted } from './progress.ts';
import { loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino fsck [options]

Holds the index of the footage, the disk and the hash chains against each other, while the agent runs or not.

  --level LEVEL  presence: names only (default)
                 size: and the size of every file
                 hash: and every byte of every file, its seals, and the time it shows
  --camera ID    only this camera
  --repair       mark what is missing, adopt what is ours, finish what nobody writes any more, delete what was
                 to be deleted, forget what is missing for a week. Footage of unknown origin, and footage that
                 was altered, is never touched
  --json         one JSON object per finding: {"type", "path", "detail", "repaired"}, then {"summary": …}
${PLACES_HELP}

Exit code 0 when nothing was found or all of it was repaired, else 1.
`,
  async run(argv) {
    const { values } = parse(argv, {
      ...PLACES,
      level: { type: 'string', default: 'presence' },
      camera: { type: 'string' },
      repair: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    });
    const level = FSCK_LEVELS.find((known) => known === values.level);
    if (!level) throw new CodedError('USAGE', `--level takes one of ${FSCK_LEVELS.join(', ')}`);
    const { json, repair } = values;
    return await untilInterrupted(async (signal) => {
      const log = createLog({ name: 'fsck', level: 'warn' });
      const { settings } = await loadSettings(loadOptions(values));
      using library = await openAsGuest(settings.dataDir, { signal, clock: systemClock, log });
      const progress = showProgress();
      const summary = await fsck(library, {
        ...{ level, repair, cameraId: values.camera },
        onFinding(finding) {
          const { type, path, detail, repaired } = finding;
          progress.clear();
          process.stdout.write(
            json
              ? `${JSON.stringify(finding)}\n`
              : `${type.padEnd(10)} ${path} ${detail}${repaired ? ' (repaired)' : ''}\n`,
          );
        },
        onProgress: ({ files, readBytes }) => progress.show(`${files} files, ${megabytes(readBytes)} read`),
        async complete(cameraId) {
          const facts: FootageFact[] = [];
          const { dataDir, mediaId } = library;
          // No process is called that: every unfinished file of the camera is meant.
          const options = { cameraId, dataDir, mediaId, run: '', clock: systemClock, log };
          await recoverFootage({ ...options, emit: (fact) => facts.push(fact) }, signal);
          return facts;
        },
      }).finally(() => progress.clear());
      if (signal.aborted) return 130;
      const { findings, repaired, files, readBytes, ms } = summary;
      process.stdout.write(
        json
          ? `${JSON.stringify({ summary: { level, findings, repaired, files, read_bytes: readBytes, duration_ms: Math.round(ms) } })}\n`
          : `${findings === 0 ? 'clean' : `${findings} found, ${repaired} repaired`}: ${files} files, ` +
              `${megabytes(readBytes)} read, ${(ms / 1000).toFixed(1)} s (${level})\n`,
      );
      return findings === repaired ? 0 : 1;
    });
  },
};
