import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Credentials, Origin } from '../../../device/contract/access.ts';
import { Access } from '../../../device/control/index.ts';
import { StepClock } from '../../harness/step-clock.ts';
import { ManualClock } from '../record/manual-clock.ts';

const PASSWORD = 'correct horse battery';
const from = (address: string): Origin => ({ surface: 'http', address });
const HOME = from('192.0.2.1');
const byPassword = (name: string, password: string): Credentials => ({ kind: 'password', name, password });
const bearer = (secret: string): Credentials => ({ kind: 'bearer', secret });
const code = (wanted: string) => expect.objectContaining({ code: wanted });

let stateDir: string;
let clock: ManualClock;
let codes: string[];
let access: Access;

const open = () =>
  Access.open({ stateDir, clock, onSetupCode: (shown) => void codes.push(shown ?? 'owned') });

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'spyoncino-access-'));
  clock = new ManualClock(Date.UTC(2026, 10, 25));
  codes = [];
  access = await open();
});
afterEach(() => rm(stateDir, { recursive: true }));

async function withOwner(): Promise<void> {
  await access.claim(codes[0] ?? '', 'ada', PASSWORD, HOME);
}

test('without an owner nobody gets in; the code on the console makes one, once', async () => {
  await expect(access.authenticate(byPassword('admin', 'admin'), HOME)).rejects.toEqual(
    code('UNAUTHENTICATED'),
  );
  await expect(access.claim('AAAAA-AAAAA', 'eve', PASSWORD, HOME)).rejects.toEqual(code('UNAUTHENTICATED'));
  await access.claim(codes[0]!.toLowerCase(), 'ada', PASSWORD, HOME);
  expect(await access.authenticate(byPassword('ada', PASSWORD), HOME)).toEqual({
    user: 'ada',
    role: 'admin',
    surface: 'http',
  });
  await expect(access.claim(codes[0]!, 'eve', PASSWORD, HOME)).rejects.toEqual(code('SETUP_CLOSED'));
  expect(codes.slice(1)).toEqual(['owned']);
  codes = [];
  access = await open();
  expect(codes).toEqual(['owned']);
});

test('the code stays the same until there is an owner, also one who was made beside the agent', async () => {
  await open();
  expect(codes).toEqual([codes[0], codes[0]]);
  expect((await stat(join(stateDir, 'setup-code'))).mode & 0o777).toBe(0o600);
  codes = [];
  const beside = await Access.open({ stateDir, clock });
  await beside.addToken('hub', 'admin', null);
  await expect(access.authenticate(bearer('nobody'), HOME)).rejects.toEqual(code('UNAUTHENTICATED'));
  expect(codes).toEqual([]);
  await beside.addUser('ada', 'admin', PASSWORD);
  await access.authenticate(byPassword('ada', PASSWORD), HOME);
  expect(codes).toEqual(['owned']);
  await expect(stat(join(stateDir, 'setup-code'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('two who claim at once: one is the owner', async () => {
  const claims = ['ada', 'eve'].map((name) => access.claim(codes[0]!, name, PASSWORD, HOME));
  const results = await Promise.allSettled(claims);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(access.accounts).toHaveLength(1);
});

test('an address that guesses is locked out, with the right password too; others are not; time heals', async () => {
  await withOwner();
  for (let i = 0; i < 5; i++) {
    await expect(access.authenticate(byPassword('ada', `guess ${i}`), HOME)).rejects.toEqual(
      code('UNAUTHENTICATED'),
    );
  }
  await expect(access.authenticate(byPassword('ada', PASSWORD), HOME)).rejects.toEqual(code('LOCKED_OUT'));
  expect(await access.authenticate(byPassword('ada', PASSWORD), from('192.0.2.2'))).toMatchObject({
    user: 'ada',
  });
  clock.advance(300_000);
  expect(await access.authenticate(byPassword('ada', PASSWORD), HOME)).toMatchObject({ user: 'ada' });
});

test('tokens and sessions work until they end, are removed, or the password changes', async () => {
  await withOwner();
  const token = await access.addToken('home-assistant', 'viewer', clock.utcMs() + 1000);
  const { secret } = await access.openSession('ada');
  access = await open();
  expect(await access.authenticate(bearer(token), HOME)).toMatchObject({
    user: 'home-assistant',
    role: 'viewer',
  });
  expect(await access.authenticate(bearer(secret), HOME)).toMatchObject({ user: 'ada', role: 'admin' });
  clock.advance(1001);
  await expect(access.authenticate(bearer(token), HOME)).rejects.toEqual(code('UNAUTHENTICATED'));
  await access.setPassword('ada', 'another long password');
  await expect(access.authenticate(bearer(secret), HOME)).rejects.toEqual(code('UNAUTHENTICATED'));
  await expect(access.authenticate(byPassword('ada', PASSWORD), HOME)).rejects.toEqual(
    code('UNAUTHENTICATED'),
  );
});

test('who sends an old session or a wrong token again and again is refused, but may still sign in', async () => {
  await withOwner();
  for (let i = 0; i < 10; i++) {
    await expect(access.authenticate(bearer(`spy_${i}`), HOME)).rejects.toEqual(code('UNAUTHENTICATED'));
  }
  expect(await access.authenticate(byPassword('ada', PASSWORD), HOME)).toMatchObject({ user: 'ada' });
});

test('a closed session is closed', async () => {
  await withOwner();
  const { secret } = await access.openSession('ada');
  await access.closeSession(secret);
  await expect(access.authenticate(bearer(secret), HOME)).rejects.toEqual(code('UNAUTHENTICATED'));
});

test('the last admin stays; names are taken once; weak passwords are refused', async () => {
  await withOwner();
  await expect(access.remove('ada')).rejects.toEqual(code('ACCOUNT_LAST_ADMIN'));
  await expect(access.remove('bob')).rejects.toEqual(code('ACCOUNT_UNKNOWN'));
  await expect(access.addToken('ada', 'viewer', null)).rejects.toEqual(code('ACCOUNT_EXISTS'));
  await expect(access.addUser('Bob!', 'viewer', PASSWORD)).rejects.toEqual(code('COMMAND_INVALID'));
  for (const weak of ['short', 'bob12345678', 'password123']) {
    await expect(access.addUser('bob', 'viewer', weak)).rejects.toEqual(code('PASSWORD_WEAK'));
  }
  await access.addUser('bob', 'admin', PASSWORD);
  await access.remove('ada');
  expect(access.accounts).toMatchObject([{ name: 'bob', kind: 'user', role: 'admin' }]);
});

test('what another process changes counts at once', async () => {
  await withOwner();
  const other = await open();
  const token = await other.addToken('t', 'viewer', null);
  expect(await access.authenticate(bearer(token), HOME)).toMatchObject({ user: 't' });
  await access.addUser('bob', 'viewer', PASSWORD);
  expect(other.accounts).toHaveLength(2);
  await other.remove('t');
  await expect(access.authenticate(bearer(token), HOME)).rejects.toEqual(code('UNAUTHENTICATED'));
  expect((await open()).accounts.map(({ name }) => name)).toEqual(['ada', 'bob']);
});

test('no secret is on disk, and only the agent’s user may read what is', async () => {
  await withOwner();
  const token = await access.addToken('t', 'admin', null);
  const { secret } = await access.openSession('ada');
  const path = join(stateDir, 'access.json');
  const text = await readFile(path, 'utf8');
  for (const hidden of [PASSWORD, token, secret, codes[0]!]) expect(text).not.toContain(hidden);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a damaged list lets nobody in, and is not replaced', async () => {
  await writeFile(join(stateDir, 'access.json'), '{"users": [');
  await expect(open()).rejects.toEqual(code('ACCESS_UNREADABLE'));
  expect(await readFile(join(stateDir, 'access.json'), 'utf8')).toBe('{"users": [');
});

test('who may no longer do what he could is told of, once, also when somebody else changes the file', async () => {
  const steps = new StepClock(Date.UTC(2026, 10, 25));
  const options = { stateDir, clock: steps };
  const watched = await Access.open(options);
  await watched.addUser('owner', 'admin', 'correct horse');
  await watched.addUser('guest', 'viewer', 'battery staple');
  await watched.addToken('script', 'viewer', steps.utcMs() + 5500);
  await watched.addToken('hub', 'operator', null);
  const revoked: string[] = [];
  await using _watching = watched.watch((name) => revoked.push(name));
  await steps.advance(2000);
  expect(revoked).toEqual([]);

  const beside = await Access.open(options);
  await beside.remove('hub');
  await beside.addUser('other', 'viewer', 'quite some phrase');
  await steps.advance(1000);
  expect(revoked).toEqual(['hub']);

  await watched.setPassword('guest', 'wholly different');
  await steps.advance(2000);
  expect(revoked).toEqual(['hub', 'guest']);

  await steps.advance(1000);
  expect(revoked).toEqual(['hub', 'guest', 'script']);

  await writeFile(join(stateDir, 'access.json'), 'damaged');
  await steps.advance(1000);
  expect(revoked.slice(3).sort()).toEqual(['guest', 'other', 'owner']);
});

test('who was let in and is removed within a moment is told of, too', async () => {
  const revoked: string[] = [];
  const steps = new StepClock(Date.UTC(2026, 10, 25));
  const options = { stateDir, clock: steps };
  const [watched, beside] = [await Access.open(options), await Access.open(options)];
  await using _watching = watched.watch((name) => revoked.push(name));
  const secret = await beside.addToken('brief', 'viewer', null);
  await watched.authenticate(bearer(secret), HOME);
  await beside.remove('brief');
  await steps.advance(1000);
  expect(revoked).toEqual(['brief']);
});
