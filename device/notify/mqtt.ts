import type { Incident, MqttSettings, Notice } from '../contract/notify.ts';
import type { Payload } from '../contract/topics.ts';
import type { Message, Receiver } from './delivery.ts';
import { bestOf, endOf, isOver, startOf } from './incidents.ts';

/** The bus, which has what it is given: whoever reads it, here or behind a bridge, is its business. */
export interface CardPort {
  incident(card: Payload<'notify.mqtt.incident'>): void;
  digest(card: Payload<'notify.mqtt.digest'>): void;
}

/** Nobody can follow faster. */
const EDIT_EVERY_MS = 1000;

/** Incidents as messages of the bus: every revision is told in full, under the id of its incident. */
export function mqttReceiver(settings: MqttSettings, port: CardPort): Receiver {
  function deliver({ notice, subject, text }: Message): string {
    const { content, noticeId, revision } = notice;
    const told = {
      ...{ incident_id: noticeId, revision, subject, text },
      start_ts: startOf(notice),
      end_ts: endOf(notice),
    };
    if (content.kind === 'digest') {
      port.digest({ ...told, incidents: content.incidents, events_by_camera: countsOf(content) });
    } else port.incident({ ...told, ...incidentCard(content, settings.baseUrl ?? '') });
    return noticeId;
  }
  return {
    send: async (message) => deliver(message),
    edit: async (_ref, message) => deliver(message),
    showsPreviews: false,
    settleMs: 0,
    editEveryMs: EDIT_EVERY_MS,
  };
}

const countsOf = ({ events }: Extract<Notice['content'], { kind: 'digest' }>) =>
  Object.fromEntries(Object.entries(events).map(([cameraId, labels]) => [cameraId, { ...labels }]));

function incidentCard(incident: Incident, baseUrl: string) {
  const { events, clipId } = incident;
  const best = bestOf(incident);
  const distinct = (values: readonly string[]): string[] => [...new Set(values)];
  return {
    state: isOver(incident) ? ('closed' as const) : ('open' as const),
    camera_ids: distinct(events.map(({ cameraId }) => cameraId)),
    labels: distinct(events.map(({ label }) => label)),
    zones: distinct(events.flatMap(({ zones }) => zones)),
    events: events.map(({ eventId, cameraId, label, score, zones, startUtcMs, endUtcMs }) => ({
      event_id: eventId,
      camera_id: cameraId,
      label,
      score,
      zones: [...zones],
      start_ts: startUtcMs,
      end_ts: endUtcMs,
    })),
    still_url:
      best.stillPath === null ? null : `${baseUrl}/api/events/${encodeURIComponent(best.eventId)}/still`,
    clip_id: clipId,
    clip_url: clipId === null ? null : `${baseUrl}/api/clips/${encodeURIComponent(clipId)}/media`,
  };
}
