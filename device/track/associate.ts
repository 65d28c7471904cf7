import { iou } from '../contract/geometry.ts';
import { assign } from './assignment.ts';
import { labelMismatch } from './labels.ts';
import type { Sighting } from './sightings.ts';
import type { Track } from './track.ts';

/** 99.5 % of a χ² with two degrees of freedom. */
const GATE = 10.6;
/** ln of how much a side may seem to change between two looks. */
const MAX_SIDE_CHANGE = 1;
/** A resting thing is where it rests; other cars pass in front of it. */
const RESTING_IOU = 0.3;
/** Low scores may continue a track only where it is expected. */
const WEAK_IOU = 0.2;
const WEIGHT = { overlap: 0.45, distance: 0.35, sides: 0.2, absencePerS: 0.05 } as const;
/** Dearer pairs are left alone. */
const ALONE = 0.95;

/**
 * Pairs tracks with sightings in two rounds, as ByteTrack does (Zhang et al. 2022): sure sightings first,
 * then unsure ones for the tracks that are left; unsure ones never begin a track.
 * @param tracks predicted to `mediaMs`
 */
export function associate(
  tracks: readonly Track[],
  sure: readonly Sighting[],
  unsure: readonly Sighting[],
  mediaMs: number,
): { pairs: Map<Track, Sighting>; strangers: Sighting[] } {
  const pairs = new Map<Track, Sighting>();
  const first = pair(tracks, sure, pairs, (track, sighting) => price(track, sighting, mediaMs));
  const left = tracks.filter((track) => !pairs.has(track));
  pair(left, unsure, pairs, (track, sighting) =>
    iou(track.filter.box(), sighting.box) < WEAK_IOU ? Infinity : price(track, sighting, mediaMs),
  );
  return { pairs, strangers: sure.filter((sighting) => !first.has(sighting)) };
}

/** Adds to `pairs`; returns the sightings used. */
function pair(
  tracks: readonly Track[],
  sightings: readonly Sighting[],
  pairs: Map<Track, Sighting>,
  priceOf: (track: Track, sighting: Sighting) => number,
): Set<Sighting> {
  const used = new Set<Sighting>();
  const cost = tracks.map((track) => sightings.map((sighting) => priceOf(track, sighting)));
  for (const [row, column] of assign(cost, ALONE).entries()) {
    const sighting = sightings[column];
    if (!sighting) continue;
    pairs.set(tracks[row]!, sighting);
    used.add(sighting);
  }
  return used;
}

function price(track: Track, { box, label, clipped }: Sighting, mediaMs: number): number {
  const expected = track.filter.box();
  const overlap = iou(expected, box);
  if (track.state === 'resting') {
    const there = Math.max(overlap, iou(track.anchor, box), iou(track.box, box));
    if (there < RESTING_IOU) return Infinity;
  }
  const distance = track.filter.distance(box, clipped) / GATE;
  if (distance > 1) return Infinity;
  const sides = clipped
    ? 0
    : Math.max(
        sideChange(expected[2] - expected[0], box[2] - box[0]),
        sideChange(expected[3] - expected[1], box[3] - box[1]),
      );
  if (sides > MAX_SIDE_CHANGE) return Infinity;
  return (
    WEIGHT.overlap * (1 - overlap) +
    WEIGHT.distance * distance +
    WEIGHT.sides * sides +
    (track.state === 'resting' ? 0 : (WEIGHT.absencePerS * (mediaMs - track.last.mediaMs)) / 1_000) +
    labelMismatch(track.label, label)
  );
}

const sideChange = (a: number, b: number): number =>
  Math.abs(Math.log(Math.max(1e-6, a) / Math.max(1e-6, b)));
