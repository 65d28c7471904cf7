// Whether the control API of this container answers. The certificate is not looked at: it is made for other names.
import { get } from 'node:https';

get({ port: 8443, path: '/health', rejectUnauthorized: false }, ({ statusCode }) => {
  process.exit(statusCode === 200 ? 0 : 1);
}).on('error', () => process.exit(1));
