/** What Compose makes of compose files: Debian's, 1.29 or later. It needs no engine for that. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { z } from 'zod';
import { requirePackages } from './packages.ts';

requirePackages(['docker-compose']);

/** Compose 1 keeps short notations, later ones spell them out. */
const service = z.object({
  environment: z.record(z.string(), z.string()).optional(),
  ports: z
    .array(
      z.union([
        z.string(),
        z
          .object({
            host_ip: z.string().optional(),
            published: z.union([z.string(), z.number()]),
            target: z.number(),
          })
          .transform(({ host_ip = '', published, target }) =>
            [...(host_ip === '' ? [] : [host_ip]), published, target].join(':'),
          ),
      ]),
    )
    .transform((ports) => ports.map((port) => port.replace(/\/tcp$/, '')))
    .default([]),
  volumes: z
    .array(
      z.union([
        z.string(),
        z
          .object({ source: z.string(), target: z.string(), read_only: z.boolean().default(false) })
          .transform(({ source, target, read_only }) => `${source}:${target}:${read_only ? 'ro' : 'rw'}`),
      ]),
    )
    .default([]),
  profiles: z.array(z.string()).optional(),
  runtime: z.string().optional(),
  group_add: z.array(z.coerce.string()).optional(),
  hostname: z.string().optional(),
  container_name: z.string().optional(),
  build: z.object({ context: z.string(), dockerfile: z.string().optional() }).optional(),
});
export type ComposedService = z.output<typeof service>;

/** Services by name, of `docker compose OPTIONS config`. Rejects when Compose does not take the files. */
export async function composed(
  options: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, ComposedService>>> {
  const { stdout } = await promisify(execFile)('docker-compose', [...options, 'config'], {
    env: { ...process.env, ...env },
  });
  return z.object({ services: z.record(z.string(), service) }).parse(parse(stdout)).services;
}
