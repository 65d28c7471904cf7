import { z } from 'zod';
import type { Caller } from '../../contract/access.ts';
import { CodedError } from '../../contract/errors.ts';
import type { ControlApiOptions } from '../options.ts';
import { route } from '../route.ts';
import { account, accountView, done, role } from '../views.ts';

const name = z.string().min(1).max(32);
const password = z.string().min(1).max(200);
const DAY_MS = 86_400_000;

export const ACCOUNT_ROUTES = [
  route({
    method: 'GET',
    path: '/api/users',
    access: 'admin',
    about: 'All users and tokens, without their secrets.',
    answer: z.object({ items: z.array(account) }),
    handle: ({ api }) => ({ items: api.access.accounts.map(accountView) }),
  }),
  route({
    method: 'POST',
    path: '/api/users',
    access: 'admin',
    about: 'Adds a user.',
    body: z.strictObject({ name, role, password }),
    status: 201,
    answer: done,
    handle: ({ api, caller, body }) =>
      audited(api, caller, 'user.add', body.name, () =>
        api.access.addUser(body.name, body.role, body.password),
      ),
  }),
  route({
    method: 'PUT',
    path: '/api/users/{name}/password',
    access: 'admin',
    about: 'Sets another password, and ends all sessions of the user.',
    params: z.object({ name }),
    body: z.strictObject({ password }),
    answer: done,
    handle: ({ api, caller, params, body }) =>
      audited(api, caller, 'user.password', params.name, () =>
        api.access.setPassword(params.name, body.password),
      ),
  }),
  route({
    method: 'DELETE',
    path: '/api/users/{name}',
    access: 'admin',
    about: 'Removes a user with all sessions, or a token.',
    params: z.object({ name }),
    answer: done,
    handle: ({ api, caller, params }) =>
      audited(api, caller, 'user.remove', params.name, () => api.access.remove(params.name)),
  }),
  route({
    method: 'POST',
    path: '/api/tokens',
    access: 'admin',
    about: 'Adds a token for a program. Its secret is told only now.',
    body: z.strictObject({
      name,
      role,
      expires_days: z.number().positive().max(3650).nullable().default(null),
    }),
    status: 201,
    answer: done.extend({ secret: z.string() }),
    async handle({ api, caller, body }) {
      const { clock, access } = api;
      const expires = body.expires_days === null ? null : clock.utcMs() + body.expires_days * DAY_MS;
      let secret = '';
      const answer = await audited(api, caller, 'token.add', body.name, async () => {
        secret = await access.addToken(body.name, body.role, expires);
      });
      return { ...answer, secret };
    },
  }),
  route({
    method: 'PUT',
    path: '/api/me/password',
    access: 'viewer',
    isAttempt: true,
    about: 'Sets another password for who is signed in, and ends all sessions of the user.',
    body: z.strictObject({ current: password, password }),
    answer: done,
    handle: ({ api, caller, body, origin }) =>
      audited(api, caller, 'user.password', caller.user, async () => {
        await api.access.authenticate(
          { kind: 'password', name: caller.user, password: body.current },
          origin,
        );
        await api.access.setPassword(caller.user, body.password);
      }),
  }),
];

async function audited(
  { audit, clock }: ControlApiOptions,
  caller: Caller,
  command: string,
  target: string,
  work: () => Promise<void>,
): Promise<{ status: 'ok' }> {
  const tell = (outcome: string): void => audit({ utcMs: clock.utcMs(), caller, command, target, outcome });
  try {
    await work();
  } catch (error) {
    tell(CodedError.from(error, 'REQUEST_FAILED').code);
    throw error;
  }
  tell('ok');
  return { status: 'ok' };
}
