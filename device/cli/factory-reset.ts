import { CodedError } from '../contract/errors.ts';
import { askForFactoryReset } from '../factory-reset.ts';
import { ask, ASK, ASK_HELP } from './ask.ts';
import { parse, type Verb } from './verb.ts';

const SAID = 'the box restarts now and erases everything';

export const verb: Verb = {
  help: `
usage: spyoncino factory-reset --erase-everything [options]
       spyoncino factory-reset --erase-everything --local

A flashed box as it was before its first start, with the version that it runs: footage, configuration, accounts, keys, logs and
networks are erased, also the settings files on the firmware partition. There is no way back. The running agent is asked for
it, as an admin. Whoever is locked out puts an empty file called factory-reset on the firmware partition, and starts the box.

  --erase-everything  says that it is meant
  --local             without an agent, as root on the console
${ASK_HELP}

Exit code 0: it restarts; 1: refused or failed; 2: command line not understood.
`,
  async run(argv) {
    const { values } = parse(argv, {
      ...ASK,
      'erase-everything': { type: 'boolean', default: false },
      local: { type: 'boolean', default: false },
    });
    if (!values['erase-everything'])
      throw new CodedError('USAGE', 'factory-reset takes --erase-everything: there is no way back');
    if (values.local) {
      await askForFactoryReset(process.env);
      process.stdout.write(`${SAID}\n`);
      return 0;
    }
    const request = { command: 'system.factory_reset', arguments: { confirm: 'erase everything' } };
    return await ask(values, request, () => SAID);
  },
};
