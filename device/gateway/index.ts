export {
  serveGateway,
  type Gateway,
  type GatewayLimits,
  type GatewayOptions,
  type TappedMessage,
} from './server.ts';
