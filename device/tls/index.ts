export { hostNames, Tls, type ServerName, type TlsOptions } from './tls.ts';
