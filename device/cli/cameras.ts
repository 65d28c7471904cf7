import { listDevices } from '../capture/index.ts';
import { parse, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino cameras [--json]

Lists attached V4L2 cameras: the path to put into config.yaml as \`usb_port\`, the name, and the modes.
`,
  async run(argv) {
    const { values } = parse(argv, { json: { type: 'boolean' } });
    const devices = await listDevices();
    if (values.json) {
      process.stdout.write(`${JSON.stringify(devices)}\n`);
      return 0;
    }
    if (devices.length === 0) process.stdout.write('No camera is attached.\n');
    for (const { path, node, name, modes } of devices) {
      process.stdout.write(`${path}  ${name}${path === node ? '' : `  (${node})`}\n`);
      for (const { format, width, height, fps } of modes) {
        process.stdout.write(
          `  ${format.padEnd(8)} ${`${width}×${height}`.padEnd(10)} ${fps.join(', ')} fps\n`,
        );
      }
    }
    return 0;
  },
};
