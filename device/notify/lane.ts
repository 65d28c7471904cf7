import { join } from 'node:path';
import type { ErrorReport } from '../contract/errors.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Attempt, ChannelName, IncidentEvent, Notice } from '../contract/notify.ts';
import type { Payload } from '../contract/topics.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { RateLimiter, type RateLimit } from '../kernel/rate-limit.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { DeliveryError, type Message, type Receiver } from './delivery.ts';
import { bestOf, endOf, startOf } from './incidents.ts';
import { Ledger, type NoticeStore } from './ledger.ts';
import { begun, failed, folded, previewed, told, type Step } from './steps.ts';
import { limitKey, nextEdit, nextSend } from './plan.ts';
import { subjectOf, textOf, type Words } from './wording.ts';

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
  /** Before a message leaves: trouble made on purpose. */
  readonly hold: (channel: ChannelName, signal: AbortSignal) => Promise<void>;
  readonly publish: (outcome: 'queued' | 'sent' | 'failed', payload: Payload<'notify.webhook.sent'>) => void;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/** What was adopted from the disk is told by nobody, so the outbox is looked at now and then. */
const POLL_MS = 15_000;
const RETRY = { firstMs: 1000, maxMs: 60_000 } as const;
/** That are not part of their messages yet; what comes on top is not shown. */
const MAX_PREVIEWS = 50;
/** For what is on its way when the agent stops. */
const STOP_LIMIT_MS = 5000;

/**
 * The messages to one receiver, durable: incidents are queued, told newest first, edited as they grow, tried again
 * until they are taken. What waits beyond the bounds of age and number is folded into a digest (never lost).
 */
export class Lane {
  readonly name: string;
  readonly #o: LaneOptions;
  readonly #limiter: RateLimiter;
  readonly #ledger: Ledger;
  readonly #stopping = new AbortController();
  readonly #cut = new AbortController();
  readonly #tasks: TaskSet;
  readonly #previews = new Map<string, string>();
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
    this.#ledger = new Ledger({
      ...options,
      lane: options.name,
      signal: this.#stopping.signal,
      onStep: (attempts) => this.#onStep(attempts),
    });
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    this.#tasks.run(`notify ${this.name}`, async () => {
      if (!(await this.#ledger.untilStored(() => this.#ledger.load()))) return;
      this.#tasks.run(`edits of ${this.name}`, () => this.#keepEditing());
      await this.#keepSending();
    });
  }

  /** There may be something to do. */
  wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** There is an animated picture of an event; who shows none is not told. */
  previewed(eventId: string, path: string): void {
    if (!this.#o.receiver.showsPreviews || this.#previews.size >= MAX_PREVIEWS) return;
    this.#previews.set(eventId, path);
    this.wake();
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
    const waiting = this.#ledger.notices.filter(({ status }) => status === 'queued').length;
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
      await this.#ledger.step(() => ({ notices: [], attempts: [attempt('failed', failure.report())] }));
      throw failure;
    }
    this.#failure = null;
    this.#lastSentUtcMs = this.#o.clock.utcMs();
    await this.#ledger.step(() => ({ notices: [], attempts: [attempt('sent', null)] }));
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

  async #keepSending(): Promise<void> {
    let delays = backoff(RETRY);
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const { promise } = this.#news;
      if (!(await this.#ledger.untilStored(() => this.#takeNews()))) return;
      const { clock, receiver } = this.#o;
      const rules = {
        ...this.#policy,
        settleMs: receiver.settleMs,
        awaitsPreview: receiver.showsPreviews,
        waitMs: (key: string) => this.#limiter.waitMs(key, clock.monotonicMs()),
      };
      const step = nextSend(this.#ledger.notices, rules, clock.utcMs());
      const heldMs = this.#notBeforeMs - clock.monotonicMs();
      if (step.kind === 'wait') await this.#pause(promise, Math.min(step.forMs ?? Infinity, POLL_MS));
      else if (step.kind === 'fold') {
        const noticeId = `digest-${clock.utcMs().toString(36)}`;
        const fold = () =>
          folded(
            step.notices.map((notice) => this.#ledger.now(notice)),
            this.#ledger.notices,
            noticeId,
            clock.utcMs(),
          );
        if (await this.#ledger.untilStored(() => this.#ledger.step(fold)))
          this.#folded += step.notices.length;
      } else if (heldMs > 0) await this.#pause(promise, Math.min(heldMs, POLL_MS));
      else {
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
      const step = this.#policy.quiet()
        ? ({ kind: 'wait', forMs: null } as const)
        : nextEdit(this.#ledger.notices, receiver.editEveryMs, clock.utcMs());
      if (step.kind === 'wait') {
        await this.#pause(promise, Math.min(step.forMs ?? Infinity, POLL_MS));
      } else if (step.kind === 'give up') {
        const failure = new DeliveryError('NOTIFY_REFUSED', 'too old to be edited', { isFinal: true });
        await this.#ledger.untilStored(() =>
          this.#ledger.step(() => failed(this.#ledger.now(step.notice), 'edit', failure, clock.utcMs())),
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

  /** What is new becomes notices; what is quiet is shed; what is finished is forgotten. */
  async #takeNews(): Promise<void> {
    await this.#ledger.takeNews(this.#policy);
    // After the events that they are of.
    for (const [eventId, path] of this.#previews) {
      this.#previews.delete(eventId);
      const step = (): Step => previewed(this.#ledger.notices, eventId, path);
      if (step().notices.length > 0) await this.#ledger.step(step);
    }
    const quiet = this.#policy.quiet();
    if (quiet) this.#count('shed', await this.#ledger.shed(quiet));
    await this.#ledger.forget(this.#o.receiver.edit !== null);
  }

  /** null when the receiver has taken it. */
  async #tell(action: 'send' | 'edit', { noticeId }: Notice): Promise<DeliveryError | null> {
    const { clock, receiver, log } = this.#o;
    const began = await this.#ledger.untilStored(() =>
      this.#ledger.step(() => begun(this.#ledger.now({ noticeId }), action, clock.utcMs())),
    );
    if (!began) return null;
    const notice = this.#ledger.now({ noticeId });
    try {
      const message = this.#messageOf(notice);
      await this.#o
        .hold(this.#o.channel, this.#cut.signal)
        .catch((error: unknown) =>
          Promise.reject(new DeliveryError('NOTIFY_UNREACHABLE', (error as Error).message)),
        );
      const ref =
        action === 'send'
          ? await receiver.send(message, this.#cut.signal)
          : await receiver.edit!(notice.ref!, message, this.#cut.signal);
      await this.#ledger.untilStored(() =>
        this.#ledger.step(() => told(this.#ledger.now(notice), action, ref, notice.revision, clock.utcMs())),
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
      await this.#ledger.untilStored(() =>
        this.#ledger.step(() => failed(this.#ledger.now(notice), action, failure, clock.utcMs())),
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
    const preview = content.kind === 'incident' ? content.previewPath : undefined;
    return {
      key: `${words.nodeId}/${this.name}/${noticeId}`,
      notice,
      subject: subjectOf(notice, words),
      text: textOf(notice, words),
      isRepeated: maybeTold,
      stillPath: still === null ? null : join(dataDir, still),
      previewPath: preview === undefined ? null : join(dataDir, preview),
      async clip() {
        if (content.kind !== 'incident' || content.clipId === null) return null;
        // Footage may be gone, or its disk: the message is told all the same.
        const path = await store.materialise(content.clipId).catch(() => null);
        return path === null ? null : join(dataDir, path);
      },
    };
  }

  #onStep(attempts: readonly Attempt[]): void {
    const { channel, meter } = this.#o;
    for (const { outcome, noticeId } of attempts) {
      meter.count('spyoncino_notifications_total', { channel, outcome });
      if (outcome !== 'queued' || !this.#ledger.has(noticeId)) continue;
      this.#publish('queued', this.#ledger.now({ noticeId }), 'send', null);
    }
    this.wake();
  }

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
    if (by === 0) return;
    this.#o.meter.count('spyoncino_drops_total', { stage: `notify_${this.#o.channel}`, reason }, by);
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
