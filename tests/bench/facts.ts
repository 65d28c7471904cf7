import { spawnSync } from 'node:child_process';
import { arch, cpus, loadavg, release, totalmem } from 'node:os';

/** The machine, in words; numbers without it mean little. */
export function machineFacts(): string {
  const firstLine = (program: string, ...args: string[]): string => {
    const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    return (stdout || stderr || `${program} absent`).split('\n')[0] ?? '';
  };
  const processors = cpus();
  return [
    `processor  ${processors[0]?.model.trim() ?? 'unknown'} × ${processors.length} (${arch()})`,
    `memory     ${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    `kernel     ${release()}`,
    `node       ${process.version}`,
    `ffmpeg     ${firstLine('ffmpeg', '-version')}`,
    `motion     ${firstLine('motion', '-h')}`,
    `load       ${loadavg()[0]?.toFixed(2)} before the run; other load makes all figures worse`,
  ].join('\n');
}

/** Columns as wide as their widest cell; the first is left-aligned, numbers are not. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  return rows.map(line).join('\n');
}
