/** The GPIO room, in a process that can be killed. Asked on stdin and heard on stdout, one JSON value a line. */
import { createInterface } from 'node:readline';
import type { GpioSettings } from '../../../device/contract/gpio.ts';
import { noMeter } from '../../../device/contract/metrics.ts';
import { Gpio } from '../../../device/gpio/index.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { createLog } from '../../../device/kernel/log.ts';

const LOOK_EVERY_MS = 50;

const tell = (fact: object): boolean => process.stdout.write(`${JSON.stringify(fact)}\n`);

const gpio = new Gpio({
  settings: JSON.parse(process.argv[2]!) as GpioSettings,
  path: process.env['PATH']!,
  onRun: (_output, run) => tell({ run }),
  onTrigger: ({ id }, edge) => tell({ trigger: id, edge }),
  meter: noMeter,
  clock: systemClock,
  log: createLog({ name: 'holder', level: 'debug' }),
});
await gpio.start();

let before = '';
const look = setInterval(() => {
  const [output, input] = gpio.modules.map((module) => module.health());
  const fact = {
    fault: output?.reasons[0]?.code ?? (output?.details['state'] === 'not held' ? 'not yet' : null),
    watched: input?.details['state'] === 'watched',
  };
  const now = JSON.stringify(fact);
  if (now !== before) tell(fact);
  before = now;
}, LOOK_EVERY_MS);

for await (const line of createInterface({ input: process.stdin })) {
  const { pulse, onMs, stop } = JSON.parse(line) as { pulse?: string; onMs?: number; stop?: boolean };
  let isRunning = pulse === undefined;
  while (!isRunning) {
    isRunning = await gpio.pulse(pulse!, onMs ?? null).then(
      ({ started }) => started,
      () => false,
    );
    if (!isRunning) await systemClock.sleep(LOOK_EVERY_MS);
  }
  if (!stop) continue;
  clearInterval(look);
  await gpio.stop();
  tell({ stopped: true });
  break;
}
process.exit();
