import type { ModuleWork } from './contract/modules.ts';
import type { Library } from './library/index.ts';

const INDEX = 'modules.analytics.db_logger';

/** The library as `module` has it: what that asks for, and what the index is told, is work that can be troubled. */
export const troubled = (library: Library, module: string, work: ModuleWork): Library => ({
  get mediaId() {
    return library.mediaId;
  },
  get troubles() {
    return library.troubles;
  },
  get lag() {
    return library.lag;
  },
  take: (fact) => work.pass(INDEX, () => library.take(fact)),
  outage: (outage) => library.outage(outage),
  footage: (fact) => library.footage(fact),
  registerConsumers: (consumers) => library.registerConsumers(consumers),
  checkMedia: () => library.checkMedia(),
  ask: (operation, ...argument) => work.attempt(module, () => library.ask(operation, ...argument)),
  drain: () => library.drain(),
  [Symbol.asyncDispose]: () => library[Symbol.asyncDispose](),
});
