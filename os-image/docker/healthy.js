// Whether the control API of this container answers; on another port where that is given. The certificate is not looked
// at: it is made for other names.
import { get } from 'node:https';

const port = Number(process.argv[2] ?? 8443);
get({ host: '127.0.0.1', port, path: '/health', rejectUnauthorized: false }, ({ statusCode }) => {
  process.exit(statusCode === 200 ? 0 : 1);
}).on('error', () => process.exit(1));
