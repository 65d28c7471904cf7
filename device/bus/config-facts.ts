import type { ConfigFact } from '../contract/config.ts';
import type { Bus } from './broker.ts';

/** Says on the bus what became of the configuration. */
export function publishConfigFact(bus: Pick<Bus, 'publish'>, fact: ConfigFact): void {
  switch (fact.type) {
    case 'snapshot':
      bus.publish('config.snapshot', {
        fingerprint: fact.fingerprint,
        author: fact.author,
        changes: [...fact.changes],
        data: { ...fact.config },
      });
      break;
    case 'rejected':
      bus.publish('config.rejected', { author: fact.author, reason: fact.reason });
      break;
    case 'rollback':
      bus.publish('config.rollback', {
        reason: fact.reason === 'request' ? 'request' : fact.reason.message,
        success: true,
        snapshot_fingerprint: fact.fingerprint,
        from: fact.from,
        author: fact.author,
      });
  }
}
