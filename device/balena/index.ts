export { balenaFrom, type Balena, type BalenaOptions } from './balena.ts';
