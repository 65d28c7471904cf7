/** A process that misbehaves towards an agent's bus, until it is killed: `attacker.ts PORT frozen|flood|idle`. */
import { connect, type Socket } from 'node:net';
import { generate } from 'mqtt-packet';

const [port = '', kind = ''] = process.argv.slice(2);
const IDLE = 500;
/** As many as one address may have, and some that may not. */
const PER_ADDRESS = 40;
const FLOOD_BATCH = 2000;

const reach = (localAddress = '127.0.0.1'): Socket => {
  const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
  // To be turned away belongs to it.
  socket.on('error', () => {});
  return socket;
};
const hello = (clientId: string): Buffer =>
  generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId, clean: true, keepalive: 0 });

const ATTACKS: Readonly<Record<string, () => void>> = {
  /** Wants everything, and reads nothing. */
  frozen() {
    for (let n = 0; n < 8; n++) {
      const socket = reach();
      socket.write(hello(`frozen${n}`));
      socket.write(
        generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'spyoncino/#', qos: 0 }] }),
      );
      socket.pause();
    }
  },
  /** Says as much as gets through, and comes again when it is thrown out. */
  flood() {
    const one = generate({ cmd: 'publish', qos: 0, dup: false, retain: false, topic: 'x/y', payload: 'z' });
    const many = Buffer.concat(Array.from({ length: FLOOD_BATCH }, () => one));
    const begin = (n: number): void => {
      const socket = reach();
      socket.resume();
      socket.write(hello(`flood${n}`));
      const pour = (): void => {
        while (socket.writable && socket.write(many));
      };
      socket.on('drain', pour).on('connect', pour);
      socket.on('close', () => setTimeout(begin, 10, n));
    };
    for (let n = 0; n < 4; n++) begin(n);
  },
  idle() {
    for (let n = 0; n < IDLE; n++) {
      const socket = reach(`127.0.0.${2 + Math.floor(n / PER_ADDRESS)}`);
      socket.resume();
      socket.write(hello(`idle${n}`));
    }
  },
};

ATTACKS[kind]?.();
setInterval(() => {}, 60_000);
