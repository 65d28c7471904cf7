import type { EventFact } from '../contract/facts.ts';
import { boxArea, iou } from '../contract/geometry.ts';
import type { CameraDetectionSettings, ObjectFilter, ZoneSettings } from '../contract/settings.ts';
import { associate } from './associate.ts';
import { coveredShare } from './displacement.ts';
import { EventWriter } from './events.ts';
import { CutMotions, hintFor } from './hints.ts';
import { groupOf } from './labels.ts';
import { isGone, isParked, isRemembered, isScenery } from './life.ts';
import type { BestShot, Tracker, TrackerOptions, TrackerUpdate } from './port.ts';
import type { TrackHint } from './regions.ts';
import { sightingsOf, wouldShow, type Look, type Sighting } from './sightings.ts';
import { SuspectPlaces } from './suspects.ts';
import { Track, type Moment } from './track.ts';

const MAX_RESTING = 48;
const MAX_TRACKS = 96;
const UPDATE_EVERY_MS = 1_000;
const SHOT_EVERY_MS = 1_000;
/** A better still must be this much better. */
const SHOT_GAIN = 1.15;
/** So much of a box must move for the object to count as moving. */
const STIRRED = 0.25;
/** Scores this share of the least a label needs still continue a track. */
const UNSURE_SHARE = 0.4;
const UNSURE_LEAST = 0.1;
/** A stranger this close to a followed object of its kind is the same object twice. */
const TWICE_IOU = 0.7;

export function createTracker(options: TrackerOptions): Tracker {
  return new EventTracker(options);
}

class EventTracker implements Tracker {
  readonly #detection: CameraDetectionSettings;
  readonly #zones: readonly ZoneSettings[];
  readonly #wantedGroups: ReadonlySet<string>;
  readonly #events: EventWriter;
  readonly #cut = new CutMotions();
  readonly #suspects = new SuspectPlaces();
  #tracks: Track[] = [];
  #lastTrackId = 0;
  #arrivedUtcMs = 0;
  #nowMs = 0;
  #shots = new Map<string, BestShot>();

  constructor({ cameraId, run, detection, zones }: TrackerOptions) {
    this.#detection = detection;
    this.#zones = zones;
    this.#wantedGroups = new Set(detection.labels.map(groupOf));
    this.#events = new EventWriter(cameraId, run);
  }

  hints(mediaMs: number): TrackHint[] {
    return [...this.#tracks.map((track) => hintFor(track, mediaMs)), ...this.#cut.hints(mediaMs)];
  }

  update(look: TrackerUpdate): EventFact[] {
    const now: Moment = { mediaMs: look.mediaMs, utcMs: look.utcMs };
    this.#arrivedUtcMs = look.arrivedUtcMs;
    const motion = look.motion.map(({ box }) => box);
    const { sure, unsure } = this.#sort(sightingsOf(look));
    for (const track of this.#tracks) track.predict(now.mediaMs);
    const { pairs, strangers } = associate(this.#tracks, sure, unsure, now.mediaMs);
    for (const track of this.#tracks) {
      const sighting = pairs.get(track);
      if (sighting) track.see(sighting, now, coveredShare(sighting.box, motion) >= STIRRED);
      else this.#miss(track, look, now);
    }
    this.#welcome(strangers, [...pairs.values()], look, now);
    this.#cut.update(look.motion, look, now.mediaMs);
    return this.#settle(now);
  }

  tick({ mediaMs, utcMs }: Moment): EventFact[] {
    return this.#settle({ mediaMs, utcMs });
  }

  setStill(eventId: string, path: string): EventFact | null {
    const track = this.#tracks.find(({ visit }) => visit?.eventId === eventId);
    if (!track?.visit) return null;
    track.visit.stillPath = path;
    const now = { mediaMs: this.#nowMs, utcMs: track.last.utcMs };
    return this.#events.update(track, track.visit, now, this.#arrivedUtcMs);
  }

  loseShot(eventId: string): void {
    const track = this.#tracks.find(({ visit }) => visit?.eventId === eventId);
    if (!track?.visit || track.visit.stillPath !== null) return;
    track.visit.shot = null;
    track.bestQuality = 0;
  }

  interrupt(utcMs: number): EventFact[] {
    const facts: EventFact[] = [];
    for (const track of this.#tracks) {
      if (!track.visit) continue;
      const endUtcMs = Math.max(utcMs, track.last.utcMs);
      facts.push(this.#events.end(track, track.visit, 'interrupted', endUtcMs, this.#arrivedUtcMs));
    }
    this.#tracks = this.#tracks.filter(({ state }) => state === 'resting');
    this.#shots.clear();
    return facts;
  }

  takeBest(): readonly BestShot[] {
    const shots = [...this.#shots.values()];
    this.#shots.clear();
    return shots;
  }

  #filterFor(label: string): ObjectFilter {
    return this.#detection.filters[label] ?? this.#detection.defaultFilter;
  }

  /** Sightings that may begin a track, and those that may only continue one; the rest is no concern of ours. */
  #sort(sightings: readonly Sighting[]): { sure: Sighting[]; unsure: Sighting[] } {
    const [sure, unsure]: [Sighting[], Sighting[]] = [[], []];
    for (const sighting of sightings) {
      const { minArea, maxArea, minScore } = this.#filterFor(sighting.label);
      const area = boxArea(sighting.box);
      if (!this.#wantedGroups.has(groupOf(sighting.label)) || area < minArea || area > maxArea) continue;
      if (sighting.score >= minScore) sure.push(sighting);
      else if (sighting.score >= Math.max(UNSURE_LEAST, UNSURE_SHARE * minScore)) unsure.push(sighting);
    }
    return { sure, unsure };
  }

  #miss(track: Track, look: Omit<Look, 'detections'>, now: Moment): void {
    const expected = track.state === 'resting' ? track.anchor : track.filter.box();
    const outside = expected[2] <= 0 || expected[3] <= 0 || expected[0] >= 1 || expected[1] >= 1;
    if (outside || wouldShow(expected, look)) track.miss(now);
  }

  #welcome(strangers: readonly Sighting[], known: Sighting[], look: TrackerUpdate, now: Moment): void {
    const aspect = look.picture.width / look.picture.height;
    const motion = look.motion.map(({ box }) => box);
    for (const sighting of strangers) {
      const twice = known.some(
        ({ box, label }) => groupOf(label) === groupOf(sighting.label) && iou(box, sighting.box) > TWICE_IOU,
      );
      if (twice || this.#tracks.length >= MAX_TRACKS) continue;
      const trackId = ++this.#lastTrackId;
      const suspect = this.#suspects.has(sighting.label, sighting.box, now.mediaMs);
      const track = new Track({ trackId, sighting, moment: now, aspect, zones: this.#zones, suspect });
      track.see(sighting, now, coveredShare(sighting.box, motion) >= STIRRED);
      this.#tracks.push(track);
    }
  }

  /** Draws the consequences of what was seen and of time. */
  #settle(now: Moment): EventFact[] {
    this.#nowMs = now.mediaMs;
    const facts: EventFact[] = [];
    this.#tracks = this.#tracks.filter((track) => {
      if (track.state === 'resting') return isRemembered(track, now);
      if (track.visit === null) this.#consider(track, now, facts);
      else this.#keepUp(track, now, facts);
      return this.#lives(track, now, facts);
    });
    this.#forgetSomePlaces();
    return facts;
  }

  /** A candidate: believed and allowed here, it becomes an event. */
  #consider(track: Track, now: Moment, facts: EventFact[]): void {
    const seenNow = track.last.mediaMs === now.mediaMs;
    const allowed = this.#detection.labels.includes(track.label) && track.zones.allows(track.label);
    if (!allowed) track.since = null;
    else if (seenNow) track.since ??= now;
    if (allowed && seenNow && track.belief.accepted) {
      facts.push(this.#events.begin(track, now, this.#arrivedUtcMs));
      this.#shoot(track, now);
    } else if (isScenery(track)) track.rest();
  }

  #keepUp(track: Track, now: Moment, facts: EventFact[]): void {
    const visit = track.visit!;
    if (visit.stationary !== track.standing) {
      visit.stationary = track.standing;
      visit.dirty = true;
    }
    if (visit.label !== track.label && this.#detection.labels.includes(track.label)) {
      visit.label = track.label;
      visit.dirty = true;
    }
    this.#shoot(track, now);
    if (visit.dirty && now.mediaMs - visit.lastFactMs >= UPDATE_EVERY_MS)
      facts.push(this.#events.update(track, visit, now, this.#arrivedUtcMs));
  }

  /** false: the track is over. Ends its event where it has one. */
  #lives(track: Track, now: Moment, facts: EventFact[]): boolean {
    const { visit } = track;
    if (visit && isParked(track)) {
      facts.push(this.#events.end(track, visit, 'stationary', track.last.utcMs, this.#arrivedUtcMs));
      track.rest();
      return true;
    }
    if (!isGone(track, now)) return true;
    if (visit) facts.push(this.#events.end(track, visit, 'gone', track.last.utcMs, this.#arrivedUtcMs));
    // A thing that was there for long without ever moving only hides from the detector.
    if (!track.hasMoved && isScenery(track)) {
      track.rest();
      return true;
    }
    if (!track.hasMoved) this.#suspects.add(track.label, track.box, track.last.mediaMs);
    return false;
  }

  #forgetSomePlaces(): void {
    const resting = this.#tracks.filter(({ state }) => state === 'resting');
    if (resting.length <= MAX_RESTING) return;
    resting.sort((a, b) => a.last.mediaMs - b.last.mediaMs);
    const forgotten = new Set(resting.slice(0, resting.length - MAX_RESTING));
    this.#tracks = this.#tracks.filter((track) => !forgotten.has(track));
  }

  #shoot(track: Track, { mediaMs }: Moment): void {
    const visit = track.visit!;
    const { shot, eventId } = visit;
    if (track.bestQuality === 0) return;
    const due =
      shot === null ||
      (track.bestQuality >= SHOT_GAIN * shot.quality && mediaMs - shot.mediaMs >= SHOT_EVERY_MS);
    if (!due) return;
    visit.shot = { quality: track.bestQuality, mediaMs };
    this.#shots.set(eventId, { eventId, box: track.best.box, utcMs: track.best.utcMs });
  }
}
