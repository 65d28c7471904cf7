import { once } from 'node:events';
import helmet from '@fastify/helmet';
import {
  fastify,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { z } from 'zod';
import { mayActAs, type Caller, type Origin } from '../contract/access.ts';
import { CodedError } from '../contract/errors.ts';
import { problemsIn } from '../contract/problems.ts';
import type { Module } from '../contract/modules.ts';
import { listen } from '../kernel/listen.ts';
import { RateLimiter } from '../kernel/rate-limit.ts';
import { createSecureServer, refuseNonsense } from '../kernel/secure-server.ts';
import { TurnsTaken } from '../kernel/turns.ts';
import { identify, refuseCrossSite } from './identify.ts';
import type { ControlApiLimits, ControlApiOptions } from './options.ts';
import { Answer, type Call, type Route } from './route.ts';
import { ROUTES } from './routes/index.ts';
import { statusOf } from './status.ts';

export interface ControlApi extends AsyncDisposable {
  readonly port: number;
  readonly module: Module;
}

const LIMITS: ControlApiLimits = {
  connections: 128,
  requestMs: 15_000,
  bodyBytes: 256 * 1024,
  requestsPerMinute: 1200,
  attemptsPerMinute: 20,
};
const MINUTE_MS = 60_000;

/**
 * HTTPS for people and programs: who asks is made sure first, then whether they may, then what they sent.
 * Throws PORT_IN_USE, or CONFIG_INVALID when the address cannot be listened on.
 */
export async function serveControlApi(options: ControlApiOptions): Promise<ControlApi> {
  const { host, port, tls, log } = options;
  const limits = { ...LIMITS, ...options.limits };
  const app = fastify({
    serverFactory: (handler) => createSecureServer(tls, limits, handler),
    bodyLimit: limits.bodyBytes,
    clientErrorHandler: (error, socket) => refuseNonsense(error, socket),
    frameworkErrors: (error, _request, reply) => void sendError(reply as FastifyReply, error, options),
  });
  // JSON is all that is taken: forms of other pages could send plain text.
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler((error: FastifyError, _request, reply) => sendError(reply, error, options));
  app.setNotFoundHandler((_request, reply) => sendError(reply, new CodedError('NOT_FOUND'), options));
  // Not HSTS: it would hold for the other ports of this host, too, where plain /metrics lives.
  await app.register(helmet, {
    hsts: false,
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
  });
  limitRates(app, options, limits);
  for (const route of ROUTES) serve(app, route, options);
  await app.ready();

  const openPort = await listen(app.server, 'control API', host, port).catch(async (error: unknown) => {
    await app.close();
    throw error;
  });
  app.server.on('error', (error) => log.error({ err: error }, 'control API listener failed'));
  let closing: Promise<void> | null = null;
  async function close(): Promise<void> {
    const closed = once(app.server, 'close');
    app.server.close();
    app.server.closeAllConnections();
    await closed;
    await app.close();
  }
  return {
    port: openPort,
    module: {
      id: 'modules.dashboard.control_api',
      instance: null,
      health: () => ({
        status: tls.trouble ? 'degraded' : 'healthy',
        reasons: tls.trouble ? [tls.trouble] : [],
        details: { port: openPort },
      }),
    },
    async [Symbol.asyncDispose]() {
      closing ??= close();
      await closing;
    },
  };
}

function serve(app: FastifyInstance, route: Route, options: ControlApiOptions): void {
  const callers = new WeakMap<FastifyRequest, Caller>();
  app.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    config: { isAttempt: route.isAttempt },
    // For files Fastify would read all of them to answer nothing.
    exposeHeadRoute: route.method === 'GET' && typeof route.answer !== 'string',
    // Before anything is read of a body.
    async preParsing(request, reply) {
      reply.header('cache-control', 'no-store');
      refuseCrossSite(request.method, request.headers);
      const { access } = route;
      if (access === 'open') return;
      const caller = await identify(options.access, request.headers, originOf(request));
      if (!caller) throw new CodedError('UNAUTHENTICATED');
      if (!mayActAs(caller.role, access)) {
        throw new CodedError(
          'FORBIDDEN',
          `this takes a user of role ${access}; ${caller.user} is ${caller.role}`,
        );
      }
      callers.set(request, caller);
    },
    async handler(request, reply) {
      const call: Call = {
        api: options,
        caller: callers.get(request) ?? null,
        origin: originOf(request),
        params: checked(route.params, request.params, 'address'),
        query: checked(route.query, request.query, 'query'),
        body: checked(route.body, request.body, 'body'),
        headers: request.headers,
      };
      const result = await route.handle(call);
      const answer = result instanceof Answer ? result : new Answer(result);
      await reply
        .code(answer.status ?? route.status)
        .headers(answer.headers)
        .send(answer.body);
      return reply;
    },
  });
}

function checked(schema: z.ZodType | null, value: unknown, part: string): unknown {
  if (!schema) return undefined;
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  throw new CodedError('REQUEST_INVALID', problemsIn(error, part, part));
}

function limitRates(app: FastifyInstance, { clock }: ControlApiOptions, limits: ControlApiLimits): void {
  const requests = new RateLimiter({ maxEvents: limits.requestsPerMinute, perMs: MINUTE_MS });
  const attempts = new RateLimiter({ maxEvents: limits.attemptsPerMinute, perMs: MINUTE_MS });
  app.addHook('onRequest', async ({ ip, routeOptions: { config } }) => {
    const nowMs = clock.monotonicMs();
    const isAttempt = (config as { isAttempt?: boolean } | undefined)?.isAttempt === true;
    if (!requests.allows(ip, nowMs) || (isAttempt && !attempts.allows(ip, nowMs)))
      throw new CodedError('TOO_MANY_REQUESTS');
  });
}

const originOf = ({ ip }: FastifyRequest): Origin => ({ surface: 'http', address: ip });

async function sendError(reply: FastifyReply, error: unknown, { log }: ControlApiOptions): Promise<void> {
  const { coded, status } = asCoded(error);
  if (coded.code === 'REQUEST_FAILED') log.error({ err: error }, 'a request failed');
  if (status === 429) reply.header('retry-after', coded.code === 'LOCKED_OUT' ? 300 : 60);
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  await reply.code(status).header('cache-control', 'no-store').send({ error: coded.report() });
}

/** What went wrong inside is for the log; clients learn no more than that something did. */
function asCoded(error: unknown): { coded: CodedError; status: number } {
  if (error instanceof CodedError) return { coded: error, status: statusOf(error.code) };
  if (error instanceof TurnsTaken) return { coded: new CodedError('TOO_MANY_REQUESTS'), status: 429 };
  const { code, statusCode = 500, message } = error as Partial<FastifyError>;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return { coded: new CodedError('REQUEST_TOO_LARGE'), status: 413 };
  if (statusCode >= 400 && statusCode < 500)
    return { coded: new CodedError('REQUEST_INVALID', message), status: statusCode };
  return { coded: new CodedError('REQUEST_FAILED'), status: 500 };
}
