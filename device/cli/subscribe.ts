import { subscribe } from '../bus/index.ts';
import { busAddress, BUS, BUS_HELP } from './bus-address.ts';
import { parse, parseNumber, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino subscribe [TOPIC…] [options]

Prints one line per message: topic, then payload as JSON. Topics are dotted names; a \`*\` at the end stands
for everything below, elsewhere for one segment. Without a topic: everything. Ends with Ctrl-C.

  spyoncino subscribe 'event.*'
  spyoncino subscribe status.camera.porch clip.ready

${BUS_HELP}
  --node ID              only this node's messages
  --count N              end after N messages
  --json                 one JSON object per line: {"topic", "payload"}
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      {
        ...BUS,
        node: { type: 'string' },
        count: { type: 'string' },
        json: { type: 'boolean' },
      },
      true,
    );
    const address = await busAddress(values);
    const stop = new AbortController();
    const end = (): void => stop.abort();
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
    let left = values.count === undefined ? Infinity : parseNumber('count', values.count, 1, 1e9);
    await subscribe({
      ...address,
      ...(values.node === undefined ? {} : { node: values.node }),
      globs: positionals.length > 0 ? positionals : ['*'],
      signal: stop.signal,
      onMessage({ topic, payload }) {
        if (left <= 0) return;
        left -= 1;
        const text = JSON.stringify(payload);
        process.stdout.write(
          values.json ? `{"topic":${JSON.stringify(topic)},"payload":${text}}\n` : `${topic} ${text}\n`,
        );
        if (left <= 0) stop.abort();
      },
      onState: (state) => process.stderr.write(`subscribe: ${state}\n`),
    });
    return 0;
  },
};
