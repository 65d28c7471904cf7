import { route, type Route } from '../route.ts';
import { openapi } from '../openapi.ts';
import { ACCOUNT_ROUTES } from './accounts.ts';
import { COMMAND_ROUTES } from './commands.ts';
import { FOOTAGE_ROUTES } from './footage.ts';
import { SESSION_ROUTES } from './session.ts';
import { SYSTEM_ROUTES } from './system.ts';

let document: object | null = null;

/** Every address that answers, with the least that a caller must be. What is not here does not exist. */
export const ROUTES: readonly Route[] = [
  ...SYSTEM_ROUTES,
  route({
    method: 'GET',
    path: '/api/openapi.json',
    access: 'open',
    about: 'This document.',
    answer: 'application/json',
    handle: () => (document ??= openapi(ROUTES)),
  }),
  ...SESSION_ROUTES,
  ...ACCOUNT_ROUTES,
  ...COMMAND_ROUTES,
  ...FOOTAGE_ROUTES,
];
