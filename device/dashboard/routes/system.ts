import { z } from 'zod';
import { TOPICS } from '../../contract/topics.ts';
import { Answer, route } from '../route.ts';
import { camera, cameraView, done, errorReport } from '../views.ts';

const readiness = z.object({ ready: z.boolean(), reasons: z.array(errorReport) });

export const SYSTEM_ROUTES = [
  route({
    method: 'GET',
    path: '/health',
    access: 'open',
    about: 'Whether the agent answers.',
    answer: done,
    handle: () => ({ status: 'ok' }),
  }),
  route({
    method: 'GET',
    path: '/health/live',
    access: 'open',
    about: 'The same, under the name that orchestrators ask for.',
    answer: done,
    handle: () => ({ status: 'ok' }),
  }),
  route({
    method: 'GET',
    path: '/health/ready',
    access: 'open',
    about: 'Whether it does its work; 503 while it does not. Why it does not is told to who is signed in.',
    answer: readiness.pick({ ready: true }),
    handle: ({ api }) => {
      const { ready } = api.ready();
      return new Answer({ ready }, { status: ready ? 200 : 503 });
    },
  }),
  route({
    method: 'GET',
    path: '/api/ready',
    access: 'viewer',
    about: 'Whether the agent does its work, and if not, why.',
    answer: readiness,
    handle: ({ api }) => api.ready(),
  }),
  route({
    method: 'GET',
    path: '/api/health',
    access: 'viewer',
    about: 'How all modules are: status.health.summary, of now.',
    answer: TOPICS['status.health.summary'].payload,
    handle: ({ api }) => api.health(),
  }),
  route({
    method: 'GET',
    path: '/api/cameras',
    access: 'viewer',
    about: 'All cameras, each with its status.',
    answer: z.object({ items: z.array(camera) }),
    handle: ({ api }) => ({ items: api.cameras().map(cameraView) }),
  }),
  route({
    method: 'GET',
    path: '/api/authority.crt',
    access: 'open',
    about: 'The authority that signs the certificate of this device, for clients to trust.',
    answer: 'application/x-x509-ca-cert',
    handle: ({ api }) =>
      new Answer(api.authority(), { headers: { 'content-type': 'application/x-x509-ca-cert' } }),
  }),
];
