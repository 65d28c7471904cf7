import { z } from 'zod';
import { SESSION_COOKIE, type Caller } from '../../contract/access.ts';
import { readCookie } from '../../kernel/cookie.ts';
import { Answer, route, type Call } from '../route.ts';
import { caller, done, utcMs } from '../views.ts';

/** What people type is never longer; a hash over more would only cost. */
const word = z.string().min(1).max(200);
const COOKIE = 'Path=/; Secure; HttpOnly; SameSite=Strict';

const signedIn = caller.extend({ expires_ts: utcMs });

export const SESSION_ROUTES = [
  route({
    method: 'GET',
    path: '/api/setup',
    access: 'open',
    about: 'Whether the device still waits for its owner.',
    answer: z.object({ needed: z.boolean() }),
    handle: ({ api }) => ({ needed: !api.access.hasOwner }),
  }),
  route({
    method: 'POST',
    path: '/api/setup',
    access: 'open',
    isAttempt: true,
    about: 'Makes the owner, with the code that the console of the device shows, and signs in.',
    body: z.strictObject({ code: word, name: word, password: word }),
    status: 201,
    answer: signedIn,
    async handle(call) {
      const { api, body, origin } = call;
      await api.access.claim(body.code, body.name, body.password, origin);
      return await open(call, { user: body.name, role: 'admin', surface: 'http' }, 'session.setup');
    },
  }),
  route({
    method: 'POST',
    path: '/api/login',
    access: 'open',
    isAttempt: true,
    about: 'Signs in: the answer sets a cookie.',
    body: z.strictObject({ name: word, password: word }),
    answer: signedIn,
    async handle(call) {
      const { api, body, origin } = call;
      const caller = await api.access.authenticate({ kind: 'password', ...body }, origin);
      return await open(call, caller, 'session.open');
    },
  }),
  route({
    method: 'POST',
    path: '/api/logout',
    access: 'viewer',
    about: 'Ends the session of the cookie.',
    answer: done,
    async handle({ api, caller, headers }) {
      const secret = readCookie(headers.cookie, SESSION_COOKIE);
      if (secret) await api.access.closeSession(secret);
      api.audit({
        utcMs: api.clock.utcMs(),
        caller,
        command: 'session.close',
        target: caller.user,
        outcome: 'ok',
      });
      const cookie = `${SESSION_COOKIE}=; ${COOKIE}; Max-Age=0`;
      return new Answer({ status: 'ok' }, { headers: { 'set-cookie': cookie } });
    },
  }),
  route({
    method: 'GET',
    path: '/api/me',
    access: 'viewer',
    about: 'Who is signed in.',
    answer: caller,
    handle: ({ caller: { user, role } }) => ({ user, role }),
  }),
];

async function open({ api }: Pick<Call, 'api'>, caller: Caller, command: string): Promise<Answer> {
  const { secret, expiresUtcMs } = await api.access.openSession(caller.user);
  const nowMs = api.clock.utcMs();
  api.audit({ utcMs: nowMs, caller, command, target: caller.user, outcome: 'ok' });
  const maxAge = Math.max(0, Math.floor((expiresUtcMs - nowMs) / 1000));
  return new Answer(
    { user: caller.user, role: caller.role, expires_ts: expiresUtcMs },
    { headers: { 'set-cookie': `${SESSION_COOKIE}=${secret}; ${COOKIE}; Max-Age=${maxAge}` } },
  );
}
