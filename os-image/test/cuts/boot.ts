/** Boots what a power cut left, as far as a shell, and asks it what matters. */
import { primary, type BootState, type Slot } from '../../boot-state/codec.ts';
import { Guest } from '../guest.ts';
import { filesOf, type Fact } from './facts.ts';

/** To a shell, on a busy machine: many times what it takes on a quiet one. */
const BOOT_TIMEOUT_MS = 8 * 60_000;

export interface Expected {
  readonly state: BootState;
  readonly versions: Readonly<Record<Slot, string>>;
  readonly facts: readonly Fact[];
}

/** Resolves to everything that is not as promised. `disk` as seen in the toolbox; it is written to. */
export async function bootComplaints(
  name: string,
  disk: string,
  { facts, state, versions }: Expected,
): Promise<readonly string[]> {
  const complaints: string[] = [];
  const slot = primary(state);
  if (slot === null) return ['no slot can be booted'];
  await using guest = await Guest.start(name, disk);
  const signal = AbortSignal.timeout(BOOT_TIMEOUT_MS);
  await guest.shell.ready(signal);
  const asked = async (what: string, command: string, wanted: RegExp): Promise<void> => {
    const { text } = await guest.shell.run(command, signal);
    if (!wanted.test(text)) complaints.push(`booted, ${what}: ${text.slice(-400)}`);
  };
  await asked('another slot', 'cat /proc/cmdline', new RegExp(`spyoncino\\.slot=${slot} .*recovery=none `));
  await asked(
    'another version',
    '. /etc/os-release; echo "$IMAGE_ID $IMAGE_VERSION"',
    new RegExp(`^spyoncino ${versions[slot].replaceAll('.', '\\.')}$`),
  );
  await asked('trouble with data', 'cat /run/spyoncino-image/data-trouble', /No such file/);
  await asked('data is not mounted', 'grep " /data " /proc/mounts', / ext4 rw/);
  for (const { path, sha256 } of filesOf(facts))
    await asked(`${path} is not as confirmed`, `sha256sum "/data/${path}"`, new RegExp(`^${sha256} `));
  return complaints;
}
