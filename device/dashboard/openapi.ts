import { z } from 'zod';
import { SESSION_COOKIE } from '../contract/access.ts';
import type { Route } from './route.ts';
import { errorReport } from './views.ts';

/** OpenAPI 3.1 of the routes: its schemas are JSON Schema as zod writes it. */
export function openapi(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Spyoncino control API',
      version: '1.0.0',
      description:
        'Programs send a token: `authorization: Bearer spy_…`. Pages send the session’s cookie, and with it the header `x-spyoncino: 1` whenever something is to change.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: 'https://spyoncino.local:8443' }],
    paths,
    components: {
      schemas: { ErrorReport: REPORT },
      responses: {
        Error: {
          description: 'What happened, and what to do; the codes are in device/design/errors.md.',
          content: json({ type: 'object', properties: { error: TO_REPORT }, required: ['error'] }),
        },
      },
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: SESSION_COOKIE },
        token: { type: 'http', scheme: 'bearer' },
      },
    },
  };
}

function operation({ method, path, access, about, params, query, body, status, answer }: Route): object {
  return {
    operationId: `${method.toLowerCase()}_${path
      .slice(1)
      .replaceAll(/[^a-z0-9]+/g, '_')
      .replace(/_$/, '')}`,
    summary: about,
    security: access === 'open' ? [] : [{ session: [] }, { token: [] }],
    'x-role': access,
    parameters: [...parameters('path', params), ...parameters('query', query)],
    ...(body && { requestBody: { required: true, content: json(jsonSchema(body, 'input')) } }),
    responses: {
      [status]: {
        description: 'Done.',
        ...(answer && {
          content: typeof answer === 'string' ? { [answer]: {} } : json(jsonSchema(answer, 'output')),
        }),
      },
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

function parameters(place: 'path' | 'query', schema: z.ZodObject | null): object[] {
  const { properties = {}, required = [] } = schema ? jsonSchema(schema, 'input') : {};
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema,
  }));
}

const json = (schema: object): object => ({ 'application/json': { schema } });

function jsonSchema(schema: z.ZodType, io: 'input' | 'output') {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return withoutRepetition(rest) as typeof rest;
}

const { $schema: _dialect, ...REPORT } = z.toJSONSchema(errorReport);
const REPORT_TEXT = JSON.stringify(REPORT);
const TO_REPORT = { $ref: '#/components/schemas/ErrorReport' };

/** All the codes of errors are said once. */
function withoutRepetition(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (JSON.stringify(value) === REPORT_TEXT) return TO_REPORT;
  if (Array.isArray(value)) return value.map(withoutRepetition);
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withoutRepetition(child)]));
}
