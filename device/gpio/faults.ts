import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CodedError, type ErrorCode } from '../contract/errors.ts';
import type { LineSettings } from '../contract/gpio.ts';

const TOOL_LIMIT_MS = 5000;

/** Words of the tools and of the C library, in the order in which they are to be looked for. */
const WORDS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/permission denied|operation not permitted/i, 'GPIO_DENIED'],
  [/resource busy/i, 'GPIO_LINE_BUSY'],
  [/cannot find (gpio )?chip|no such device|no such file/i, 'GPIO_CHIP_MISSING'],
  [/cannot find line|offset .* out of range|invalid argument/i, 'GPIO_LINE_UNKNOWN'],
];

/** Why a line cannot be had, from what a tool complained with. */
export function faultOf(complaint: string, { chip, line }: LineSettings): CodedError {
  const [, code] = WORDS.find(([words]) => words.test(complaint)) ?? [];
  // The path of the tool says nothing.
  const said = /^(?:\S+: )?(.*)$/m.exec(complaint)?.[1] || 'the tool ended without a word';
  return new CodedError(code ?? 'GPIO_FAILED', `line ${line} of ${chip}: ${said}`);
}

/** @throws CodedError GPIO_TOOL_MISSING, GPIO_TOOL_OLD */
export async function requireTools(path: string): Promise<void> {
  for (const tool of ['gpioset', 'gpiomon']) {
    const version = await versionOf(tool, path);
    if (Number.parseInt(version) < 2) throw new CodedError('GPIO_TOOL_OLD', `${tool} ${version}`);
  }
}

async function versionOf(tool: string, path: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(tool, ['--version'], {
      env: { PATH: path, LC_ALL: 'C' },
      timeout: TOOL_LIMIT_MS,
    });
    return /\bv?(\d+\.\d+\S*)/.exec(stdout)?.[1] ?? 'of an unknown version';
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? tool : `${tool}: ${String(error)}`;
    throw new CodedError('GPIO_TOOL_MISSING', why);
  }
}
