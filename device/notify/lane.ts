import { join } from 'node:path';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { ClipSummary, EventRecord } from '../contract/library.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Attempt, ChannelName, IncidentEvent, Notice } from '../contract/notify.ts';
import type { Payload } from '../contract/topics.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { RateLimiter, type RateLimit } from '../kernel/rate-limit.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { Turns } from '../kernel/turns.ts';
import { DeliveryError, type Message, type Receiver } from './delivery.ts';
import { bestOf, endOf, startOf } from './incidents.ts';
import { begun, failed, forgettable, ingested, folded, interrupted, shed, told, type Step } from './steps.ts';
import { limitKey, nextEdit, nextSend } from './plan.ts';
import { subjectOf, textOf, type Words } from './wording.ts';

/** What the outbox of the library holds for a lane. */
export interface OutboxItem {
  readonly no: number;
  readonly kind: 'event.new' | 'event.end' | 'clip.ready' | 'segment.ready' | 'still';
  readonly ref: string;
}

/** What lanes need of the library; all of it may reject while the index cannot be asked. */
export interface NoticeStore {
  take(consumer: string): Promise<readonly OutboxItem[]>;
  event(eventId: string): Promise<EventRecord | null>;
  clip(clipId: string): Promise<ClipSummary | null>;
  /** Path of the clip's file, relative to the data directory; it is made where there is none. */
  materialise(clipId: string): Promise<string>;
  open(lane: string): Promise<readonly Notice[]>;
  /** Durable when it resolves: all of it or nothing. */
  commit(change: {
    readonly lane: string;
    readonly done: { readonly consumer: string; readonly nos: readonly number[] };
    readonly notices: readonly { readonly notice: Notice; readonly isOpen: boolean }[];
    readonly attempts: readonly Attempt[];
  }): Promise<void>;
}

/** What may change while it runs. */
export interface LanePolicy {
  readonly groupMs: number;
  readonly freshMs: number;
  readonly maxWaiting: number;
  readonly rateLimit: RateLimit;
  /** Whether the receiver is to be told of it. */
  readonly wants: (event: IncidentEvent) => boolean;
  /** Why nothing is told now, and what happens is not told later either. */
  readonly quiet: () => ErrorReport | null;
}

export interface LaneOptions {
  readonly channel: ChannelName;
  /** Among the receivers of the channel; no secret. Messages and their state go by it, over restarts. */
  readonly name: string;
  readonly receiver: Receiver;
  readonly policy: LanePolicy;
  readonly dataDir: string;
  readonly words: Words;
  readonly store: NoticeStore;
  readonly publish: (outcome: 'queued' | 'sent' | 'failed', payload: Payload<'notify.webhook.sent'>) => void;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/** What was adopted from the disk is told by nobody, so the outbox is looked at now and then. */
const POLL_MS = 15_000;
const STORE_RETRY_MS = 2000;
const RETRY = { firstMs: 1000, maxMs: 60_000 } as const;
const MAX_TURNS = 64;
/** For what is on its way when the agent stops. */
const STOP_LIMIT_MS = 5000;

/** As libraries name who takes from their outbox. */
export const consumerOf = (lane: string): string => `notify:${lane}`;

/**
 * The messages to one receiver, durable: incidents are queued, told newest first, edited as they grow, tried again
 * until they are taken. What waits beyond the bounds of age and number is folded into a digest (never lost).
 *
 * Invariant: memory follows the store. Each step is one transaction of the store, taken in turn; only when it is
 * durable does memory, or anybody else, know of it.
 */
export class Lane {
  readonly name: string;
  readonly #o: LaneOptions;
  readonly #limiter: RateLimiter;
  readonly #notices = new Map<string, Notice>();
  readonly #turns = new Turns(MAX_TURNS);
  readonly #stopping = new AbortController();
  readonly #cut = new AbortController();
  readonly #tasks: TaskSet;
  #policy: LanePolicy;
  #news = Promise.withResolvers<void>();
  #notBeforeMs = 0;
  #failure: ErrorReport | null = null;
  #sent = 0;
  #failed = 0;
  #folded = 0;
  #lastSentUtcMs: number | null = null;

  constructor(options: LaneOptions) {
    this.#o = options;
    this.name = options.name;
    this.#policy = options.policy;
    this.#limiter = new RateLimiter(options.policy.rateLimit);
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    this.#tasks.run(`notify ${this.name}`, async () => {
      if (!(await this.#untilStored(() => this.#load()))) return;
      this.#tasks.run(`edits of ${this.name}`, () => this.#keepEditing());
      await this.#keepSending();
    });
  }

  /** There may be something to do. */
  wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** Holds at once, also for what waits already. */
  configure(policy: LanePolicy): void {
    this.#policy = policy;
    this.#limiter.setLimit(policy.rateLimit);
    this.#notBeforeMs = 0;
    this.wake();
  }

  /** Why the receiver did not take the last message; null when it did. */
  get failure(): ErrorReport | null {
    return this.#failure;
  }

  get details(): Readonly<Record<string, number | null>> {
    const waiting = [...this.#notices.values()].filter(({ status }) => status === 'queued').length;
    return {
      queued: waiting,
      sent: this.#sent,
      failed: this.#failed,
      folded: this.#folded,
      last_sent_ts: this.#lastSentUtcMs,
    };
  }

  /** Tells the receiver that this is a test, past the queue. @throws DeliveryError */
  async test(notice: Notice): Promise<void> {
    const message = { ...this.#messageOf(notice), subject: `Test of ${this.#o.words.nodeId}` };
    const attempt = (outcome: 'sent' | 'failed', reason: ErrorReport | null): Attempt => ({
      ...{
        noticeId: notice.noticeId,
        atUtcMs: this.#o.clock.utcMs(),
        outcome,
        action: 'send',
        tries: 1,
        reason,
      },
    });
    try {
      await this.#o.receiver.send({ ...message, text: 'Notifications arrive here.' }, this.#cut.signal);
    } catch (error) {
      const failure = DeliveryError.from(error);
      this.#failure = failure.report();
      await this.#step(() => ({ notices: [], attempts: [attempt('failed', failure.report())] }));
      throw failure;
    }
    this.#failure = null;
    this.#lastSentUtcMs = this.#o.clock.utcMs();
    await this.#step(() => ({ notices: [], attempts: [attempt('sent', null)] }));
    // Whatever held up the others is over.
    this.#notBeforeMs = 0;
    this.wake();
  }

  /** What is on its way has a moment to arrive. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const done = new AbortController();
    const limit = this.#o.clock.sleep(STOP_LIMIT_MS, done.signal).then(
      () => this.#cut.abort(),
      () => {},
    );
    await this.#tasks.settle();
    done.abort();
    await limit;
  }

  async #load(): Promise<void> {
    const open = (await this.#o.store.open(this.name)).map(interrupted);
    for (const notice of open) this.#notices.set(notice.noticeId, notice);
  }

  async #keepSending(): Promise<void> {
    let delays = backoff(RETRY);
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const { promise } = this.#news;
      if (!(await this.#untilStored(() => this.#takeNews()))) return;
      const { clock, receiver } = this.#o;
      const heldMs = this.#notBeforeMs - clock.monotonicMs();
      if (heldMs > 0) {
        await this.#pause(promise, Math.min(heldMs, POLL_MS));
        continue;
      }
      const rules = {
        ...this.#policy,
        settleMs: receiver.settleMs,
        waitMs: (key: string) => this.#limiter.waitMs(key, clock.monotonicMs()),
      };
      const step = nextSend([...this.#notices.values()], rules, clock.utcMs());
      if (step.kind === 'wait') await this.#pause(promise, Math.min(step.forMs ?? Infinity, POLL_MS));
      else if (step.kind === 'fold') {
        const noticeId = `digest-${clock.utcMs().toString(36)}`;
        const fold = () =>
          folded(this.#current(step.notices), [...this.#notices.values()], noticeId, clock.utcMs());
        if (await this.#untilStored(() => this.#step(fold))) this.#folded += step.notices.length;
      } else {
        const failure = await this.#tell('send', step.notice);
        if (!failure) delays = backoff(RETRY);
        else if (!failure.isFinal) {
          this.#notBeforeMs = clock.monotonicMs() + Math.max(delays.next().value, failure.retryAfterMs ?? 0);
        }
      }
    }
  }

  /** Beside the sending, so that a long clip never holds up the next alert. */
  async #keepEditing(): Promise<void> {
    const { clock, receiver } = this.#o;
    if (!receiver.edit) return;
    let delays = backoff(RETRY);
    while (!this.#stopping.signal.aborted) {
      const { promise } = this.#news;
      const step = nextEdit([...this.#notices.values()], receiver.editEveryMs, clock.utcMs());
      if (step.kind === 'wait') {
        await this.#pause(promise, Math.min(step.forMs ?? Infinity, POLL_MS));
      } else if (step.kind === 'give up') {
        const failure = new DeliveryError('NOTIFY_REFUSED', 'too old to be edited', { isFinal: true });
        await this.#untilStored(() =>
          this.#step(() => failed(this.#now(step.notice), 'edit', failure, clock.utcMs())),
        );
      } else {
        const failure = await this.#tell('edit', step.notice);
        if (!failure) delays = backoff(RETRY);
        else if (!failure.isFinal) {
          await this.#pause(null, Math.max(delays.next().value, failure.retryAfterMs ?? 0));
        }
      }
    }
  }

  /** What the outbox holds becomes notices; what is quiet is shed; what is finished is forgotten. */
  async #takeNews(): Promise<void> {
    const { store, clock } = this.#o;
    const consumer = consumerOf(this.name);
    for (;;) {
      const items = await store.take(consumer);
      if (items.length === 0) break;
      const news = await Promise.all(
        items.map(async ({ kind, ref }) =>
          kind === 'clip.ready'
            ? { kind, clip: await store.clip(ref) }
            : { kind, event: await store.event(ref) },
        ),
      );
      await this.#step(
        () => ingested([...this.#notices.values()], news, this.#policy, clock.utcMs()),
        items.map(({ no }) => no),
      );
    }
    const quiet = this.#policy.quiet();
    if (quiet) {
      const waiting = [...this.#notices.values()].filter(({ status }) => status === 'queued');
      if (waiting.length > 0) {
        await this.#step(() => shed(this.#current(waiting), quiet, clock.utcMs()));
        this.#count('paused', waiting.length);
      }
    }
    const finished = forgettable([...this.#notices.values()], this.#o.receiver.edit !== null, clock.utcMs());
    if (finished.length > 0) await this.#step(() => ({ notices: [], attempts: [], closed: finished }));
  }

  /** null when the receiver has taken it. */
  async #tell(action: 'send' | 'edit', { noticeId }: Notice): Promise<DeliveryError | null> {
    const { clock, receiver, log } = this.#o;
    const began = await this.#untilStored(() =>
      this.#step(() => begun(this.#notices.get(noticeId)!, action, clock.utcMs())),
    );
    if (!began) return null;
    const notice = this.#notices.get(noticeId)!;
    try {
      const message = this.#messageOf(notice);
      const ref =
        action === 'send'
          ? await receiver.send(message, this.#cut.signal)
          : await receiver.edit!(notice.ref!, message, this.#cut.signal);
      await this.#untilStored(() =>
        this.#step(() => told(this.#now(notice), action, ref, notice.revision, clock.utcMs())),
      );
      if (action === 'send') this.#limiter.allows(limitKey(notice), clock.monotonicMs());
      this.#sent++;
      this.#failure = null;
      this.#lastSentUtcMs = clock.utcMs();
      this.#publish('sent', notice, action, null);
      return null;
    } catch (error) {
      // The outcome is not known; the next start finds it so.
      if (this.#cut.signal.aborted) return null;
      const failure = DeliveryError.from(error);
      await this.#untilStored(() =>
        this.#step(() => failed(this.#now(notice), action, failure, clock.utcMs())),
      );
      this.#failed++;
      this.#failure = failure.report();
      if (failure.isFinal && action === 'send') this.#count('refused', 1);
      log.warn(
        { lane: this.name, code: failure.code, reason: failure.message, action },
        'a message was not taken',
      );
      this.#publish('failed', notice, action, failure.report());
      return failure;
    }
  }

  #messageOf(notice: Notice): Message {
    const { dataDir, store, words } = this.#o;
    const { content, maybeTold, noticeId } = notice;
    const still = content.kind === 'incident' ? bestOf(content).stillPath : null;
    return {
      key: `${words.nodeId}/${this.name}/${noticeId}`,
      notice,
      subject: subjectOf(notice, words),
      text: textOf(notice, words),
      isRepeated: maybeTold,
      stillPath: still === null ? null : join(dataDir, still),
      async clip() {
        if (content.kind !== 'incident' || content.clipId === null) return null;
        // Footage may be gone, or its disk: the message is told all the same.
        const path = await store.materialise(content.clipId).catch(() => null);
        return path === null ? null : join(dataDir, path);
      },
    };
  }

  /** One transaction, in turn; `make` sees the notices as they are then. */
  async #step(make: () => Step, nos: readonly number[] = []): Promise<void> {
    await this.#turns.take(async () => {
      const { notices, attempts, closed = [] } = make();
      await this.#o.store.commit({
        lane: this.name,
        done: { consumer: consumerOf(this.name), nos },
        notices: [
          ...notices.map((notice) => ({ notice, isOpen: true })),
          ...closed.map((notice) => ({ notice, isOpen: false })),
        ],
        attempts,
      });
      for (const notice of notices) this.#notices.set(notice.noticeId, notice);
      for (const { noticeId } of closed) this.#notices.delete(noticeId);
      for (const { outcome, noticeId } of attempts) {
        const notice = this.#notices.get(noticeId);
        if (outcome === 'queued' && notice) this.#publish('queued', notice, 'send', null);
      }
    });
    this.wake();
  }

  #now = ({ noticeId }: Notice): Notice => this.#notices.get(noticeId)!;
  #current = (notices: readonly Notice[]): Notice[] => notices.map(this.#now);

  #publish(
    outcome: 'queued' | 'sent' | 'failed',
    notice: Notice,
    action: 'send' | 'edit',
    reason: ErrorReport | null,
  ): void {
    const { content, noticeId, revision, tries } = notice;
    const events = content.kind === 'incident' ? content.events : [];
    const cameras =
      content.kind === 'incident' ? events.map(({ cameraId }) => cameraId) : Object.keys(content.events);
    this.#o.publish(outcome, {
      channel: this.#o.channel,
      target: this.name,
      notice_id: noticeId,
      kind: content.kind,
      action,
      revision,
      tries,
      camera_ids: [...new Set(cameras)],
      labels: [...new Set(events.map(({ label }) => label))],
      event_ids: events.map(({ eventId }) => eventId),
      start_ts: startOf(notice),
      end_ts: endOf(notice),
      reason,
    });
  }

  #count(reason: string, by: number): void {
    this.#o.meter.count('spyoncino_drops_total', { stage: `notify_${this.#o.channel}`, reason }, by);
  }

  /** Tries again until the store takes it; false when the lane stops before. */
  async #untilStored(work: () => Promise<void>): Promise<boolean> {
    for (;;) {
      try {
        await work();
        return true;
      } catch (error) {
        const { code } = CodedError.from(error, 'INDEX_UNAVAILABLE');
        this.#o.log.warn({ err: error, lane: this.name, code }, 'notifications wait for the index');
      }
      await this.#pause(null, STORE_RETRY_MS);
      if (this.#stopping.signal.aborted) return false;
    }
  }

  /** Until something happens, `ms` at most. */
  async #pause(news: Promise<void> | null, ms: number): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#stopping.signal]);
    const slept = this.#o.clock.sleep(ms, signal).catch(() => {});
    await Promise.race(news ? [news, slept] : [slept]);
    over.abort();
    await slept;
  }
}
