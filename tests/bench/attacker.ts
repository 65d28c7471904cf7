/**
 * Somebody who means harm, or has a bug, in a process of its own: `node attacker.ts KIND`, the rest from the
 * environment. Says `ready` once it is at it, goes on until it is killed.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connectAsync, type MqttClient } from 'mqtt';

const PORT = Number(process.env['BUS_PORT']);
const TOPIC = process.env['COMMAND_TOPIC'] ?? '';
const USER = { username: process.env['BUS_USER'] ?? '', password: process.env['BUS_SECRET'] ?? '' };
const IDLE = 500;

const connect = (): Promise<MqttClient> =>
  connectAsync({ host: '127.0.0.1', port: PORT, ...USER, reconnectPeriod: 0 });

const KINDS: Readonly<Record<string, () => Promise<void>>> = {
  /** Subscribes to everything and never reads again. */
  async frozen() {
    const client = await connect();
    await client.subscribeAsync('spyoncino/#', { qos: 1 });
    client.stream.pause();
    (client.stream as Socket).removeAllListeners('data');
  },

  /** Asks for nonsense as fast as the connection takes it. */
  async flood() {
    const client = await connect();
    client.on('error', () => {});
    const flood = (): void => {
      for (let n = 0; n < 100 && !client.stream.writableNeedDrain; n++) {
        client.publish(TOPIC, JSON.stringify({ command: 'nonsense', arguments: { n } }));
      }
      setTimeout(flood, 1);
    };
    flood();
  },

  /** Connects, says who it is, and is silent. */
  async idle() {
    const clients: Promise<MqttClient>[] = [];
    for (let n = 0; n < IDLE; n++) {
      clients.push(connect());
      if (n % 25 === 0) await Promise.all(clients);
    }
    await Promise.all(clients);
  },

  /** Connects and does not even say who it is, over and over. */
  async strangers() {
    const again = (): void => {
      const socket = connectTcp({ host: '127.0.0.1', port: PORT });
      socket.on('error', () => {});
      socket.once('close', () => setTimeout(again, 10));
    };
    for (let n = 0; n < IDLE; n++) again();
  },
};

const attack = KINDS[process.argv[2] ?? ''];
if (!attack) throw new Error(`no such attack; there are ${Object.keys(KINDS).join(', ')}`);
await attack();
process.stdout.write('ready\n');
await once(process, 'SIGTERM');
process.exit(0);
