export { publishConfigFact } from './config-facts.ts';
export type { Authenticate, ClientCredentials } from './access.ts';
export type { BridgeState } from './bridge.ts';
export type { RequestHandler } from './requests.ts';
export { createBus, type Bus, type BusLimits, type BusOptions } from './broker.ts';
export { homeAssistantMessages, type DiscoveryMessage, type HomeAssistantOptions } from './home-assistant.ts';
export { cameraPayload, publishFact, publishFootage } from './facts.ts';
export { OriginalTopics, type OriginalTopicsOptions } from './original.ts';
export { globToFilter, matches, mqttToTopic, topicToMqtt } from './names.ts';
export type { BusAddress } from './client.ts';
export { command, type CommandOptions } from './command.ts';
export {
  subscribe,
  type ReceivedMessage,
  type SubscribeOptions,
  type SubscriptionState,
} from './subscribe.ts';
export { ResilienceTester, type ResilienceOptions } from './resilience.ts';
