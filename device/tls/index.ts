export { hostNames, issueClient, Tls, type ServerName, type TlsOptions } from './tls.ts';
