import type { z } from 'zod';

/** More would not be read. */
const MAX_PROBLEMS = 5;

/**
 * What is wrong with something that came from outside: names of fields and what would be right, never their values,
 * which may be secret. `whole` names the thing itself; `within` leads the names of its fields.
 */
export const problemsIn = ({ issues }: z.ZodError, whole: string, within?: string): string =>
  issues
    .slice(0, MAX_PROBLEMS)
    .map(({ path, message }) => {
      const name = [...(within === undefined ? [] : [within]), ...path].join('.');
      return `${name || whole}: ${message}`;
    })
    .join('; ');
