import { CodedError } from '../contract/errors.ts';
import { ask, ASK, ASK_HELP } from './ask.ts';
import { parse, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino command NAME [ARGUMENTS] [options]

Asks a running agent for something, and prints what comes of it. All commands, and what they take:
device/design/commands.md. ARGUMENTS is a JSON object. Nobody may ask without a name:

  export SPYONCINO_BUS_USERNAME=ops SPYONCINO_BUS_PASSWORD="$(spyoncino users token ops --role admin)"

  spyoncino command pipeline.pause --module modules.storage.retention
  spyoncino command module.disable --module 'modules.input.rtsp_camera[porch]'
  spyoncino command event.create '{"label": "person"}' --camera porch
  spyoncino command config.update '{"key": "outputs.rate_limit.max_events", "value": 50}'
  spyoncino command config.update '{"changes": {"outputs": {"rate_limit": {"max_events": 50}}}, "dry_run": true}'

  --module ID            the module that it is about
  --camera ID            the camera that it is about
${ASK_HELP}

Exit code 0: done; 1: refused, failed, or no agent there; 2: command line not understood.
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      { ...ASK, module: { type: 'string' }, camera: { type: 'string' } },
      true,
    );
    const [name, args, ...others] = positionals;
    if (name === undefined || others.length > 0)
      throw new CodedError('USAGE', 'command takes one NAME, and ARGUMENTS as one JSON object');
    const request = {
      command: name,
      ...(values.module === undefined ? {} : { module: values.module }),
      ...(values.camera === undefined ? {} : { camera_id: values.camera }),
      ...(args === undefined ? {} : { arguments: parseArguments(args) }),
    };
    return await ask(values, request, (result) => JSON.stringify(result ?? {}, null, 2));
  },
};

/** @throws CodedError USAGE for what is not a JSON object */
function parseArguments(text: string): Record<string, unknown> {
  const wrong = (why: string): CodedError =>
    new CodedError('USAGE', `ARGUMENTS is a JSON object such as '{"enabled": true}': ${why}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(`not ${text}`);
  return { ...value };
}
