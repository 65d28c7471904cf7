import { iou, type Box } from '../contract/geometry.ts';
import { groupOf } from './labels.ts';

const REMEMBERED_MS = 15 * 60_000;
const MAX_PLACES = 64;
const SAME_PLACE_IOU = 0.4;

interface Place {
  readonly group: string;
  readonly box: Box;
  readonly seenMs: number;
}

/**
 * Where something was seen that never moved and then was not seen any more: a bin that looks like a person
 * in some light. Oldest places are forgotten first.
 */
export class SuspectPlaces {
  #places: Place[] = [];

  add(label: string, box: Box, seenMs: number): void {
    const group = groupOf(label);
    this.#places = this.#places.filter((place) => !isAt(place, group, box)).slice(1 - MAX_PLACES);
    this.#places.push({ group, box, seenMs });
  }

  has(label: string, box: Box, nowMs: number): boolean {
    const group = groupOf(label);
    return this.#places.some((place) => nowMs - place.seenMs < REMEMBERED_MS && isAt(place, group, box));
  }
}

const isAt = (place: Place, group: string, box: Box): boolean =>
  place.group === group && iou(place.box, box) > SAME_PLACE_IOU;
