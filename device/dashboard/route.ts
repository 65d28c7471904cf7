import type { z } from 'zod';
import type { Caller, Origin, Role } from '../contract/access.ts';
import type { ControlApiOptions } from './options.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** `open`: anybody, without saying who. Else the least that a caller must be. */
export type RouteAccess = 'open' | Role;

/** A request, checked. `Params` and so on are what the route's schemas give. */
export interface Call<
  A extends RouteAccess = RouteAccess,
  Params = unknown,
  Query = unknown,
  Body = unknown,
> {
  readonly api: ControlApiOptions;
  readonly caller: A extends Role ? Caller : null;
  readonly origin: Origin;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** As sent, for ranges and conditions. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** An answer that is more than a value as JSON with the route's status. */
export class Answer {
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: unknown;

  constructor(body: unknown, options: { status?: number; headers?: Record<string, string | number> } = {}) {
    this.body = body;
    this.status = options.status ?? null;
    this.headers = options.headers ?? {};
  }
}

export interface Route {
  readonly method: Method;
  /** `{name}` stands for one segment. */
  readonly path: string;
  readonly access: RouteAccess;
  readonly about: string;
  readonly params: z.ZodObject | null;
  readonly query: z.ZodObject | null;
  readonly body: z.ZodType | null;
  /** Of success. */
  readonly status: number;
  /** Schema of a JSON answer, or the type of another one; null without any. */
  readonly answer: z.ZodType | string | null;
  /** Tries a secret that people choose or type: fewer of these are let through. */
  readonly isAttempt: boolean;
  readonly handle: (call: Call) => unknown;
}

type Out<S> = S extends z.ZodType ? z.output<S> : undefined;

/** One entry of the table of routes. */
export function route<
  A extends RouteAccess,
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(spec: {
  readonly method: Method;
  readonly path: string;
  readonly access: A;
  readonly about: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly status?: number;
  readonly answer: z.ZodType | string | null;
  readonly isAttempt?: boolean;
  readonly handle: (call: Call<A, Out<P>, Out<Q>, Out<B>>) => unknown;
}): Route {
  const { params = null, query = null, body = null, status = 200, isAttempt = false } = spec;
  return { ...spec, params, query, body, status, isAttempt, handle: spec.handle as Route['handle'] };
}
