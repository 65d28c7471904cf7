import { expect, test } from 'vitest';
import { declaredPackages, missingPackages } from '../../harness/packages.ts';

test('a package that is not installed is missing, one that is, is not', () => {
  expect(missingPackages(['dpkg', 'no-such-package-here', 'coreutils'])).toEqual(['no-such-package-here']);
  expect(missingPackages([])).toEqual([]);
});

test('declarations are read from source text, over several lines', () => {
  const source = `import x;\nrequirePackages(['ffmpeg']);\nrequirePackages([\n  'a-1',\n  'b.2+c',\n]);\n// requirePackages(['no'])`;
  expect(declaredPackages(source)).toEqual(['ffmpeg', 'a-1', 'b.2+c']);
});
