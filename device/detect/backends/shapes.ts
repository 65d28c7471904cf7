import { CodedError } from '../../contract/errors.ts';

/** Compares what a model wants with what its manifest says; sizes it leaves open fit everything. */
export function expectInput(declared: readonly unknown[] | undefined, wanted: readonly number[]): void {
  const open = (size: unknown): boolean => typeof size !== 'number' || size < 0;
  const fits =
    declared === undefined ||
    (declared.length === wanted.length && declared.every((size, i) => open(size) || size === wanted[i]));
  if (!fits)
    throw new CodedError(
      'MODEL_SHAPE',
      `input is [${declared.join(', ')}], the manifest says [${wanted.join(', ')}]`,
    );
}

/** The outputs to read: those asked for, which must exist, or the model's only one. */
export function chooseOutputs(wanted: readonly string[], existing: readonly string[]): readonly string[] {
  const names = wanted.length === 0 && existing.length === 1 ? existing : wanted;
  if (names.length > 0 && names.every((name) => existing.includes(name))) return names;
  throw new CodedError(
    'MODEL_SHAPE',
    `outputs are ${existing.join(', ')}; the manifest asks for ${wanted.join(', ') || 'the only one'}`,
  );
}
