/** Names, help and buckets of every metric, so that all processes and the documentation agree. */

const FAST_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000];
const SLOW_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000];

export const HISTOGRAMS = {
  spyoncino_decode_ms: { help: 'Decoding one picture', buckets: FAST_MS, labels: [] },
  spyoncino_motion_ms: { help: 'Motion detection of one picture', buckets: FAST_MS, labels: [] },
  spyoncino_queue_wait_ms: { help: 'Crops waiting for a detection worker', buckets: SLOW_MS, labels: [] },
  spyoncino_inference_ms: { help: 'The model itself, one request', buckets: SLOW_MS, labels: [] },
  spyoncino_detect_overhead_ms: {
    help: 'Crop, letterbox, transfer and decode of boxes around one request, without queue and inference',
    buckets: FAST_MS,
    labels: [],
  },
  spyoncino_sharpen_ms: {
    help: 'Decoding the recorded stream for one look at more detail',
    buckets: FAST_MS,
    labels: [],
  },
  spyoncino_track_ms: { help: 'Tracking of one picture', buckets: FAST_MS, labels: [] },
  spyoncino_write_ms: { help: 'Writing one batch of fragments', buckets: SLOW_MS, labels: [] },
  spyoncino_fdatasync_ms: { help: 'Making written fragments durable', buckets: SLOW_MS, labels: [] },
  spyoncino_index_commit_ms: {
    help: 'Committing all facts that waited for the index, in one transaction',
    buckets: SLOW_MS,
    labels: [],
  },
  spyoncino_publish_ms: { help: 'Publishing one message on the bus', buckets: FAST_MS, labels: [] },
  spyoncino_frame_to_event_ms: { help: 'Arrival of a picture to event.new', buckets: SLOW_MS, labels: [] },
} as const;

export const COUNTERS = {
  spyoncino_packets_total: { help: 'Packets received', labels: ['role', 'track'] },
  spyoncino_packet_bytes_total: { help: 'Bytes of packets received', labels: ['role', 'track'] },
  spyoncino_frames_total: { help: 'Pictures analysed', labels: [] },
  spyoncino_written_bytes_total: { help: 'Bytes of footage written', labels: [] },
  spyoncino_footage_closed_total: {
    help: 'Segments and clips that are complete; a clip may be a range over segments',
    labels: ['kind'],
  },
  spyoncino_gap_seconds_total: {
    help: 'Footage lost between camera and disk, by code of the reason',
    labels: ['reason'],
  },
  spyoncino_deleted_bytes_total: {
    help: 'Bytes of footage deleted; reason: age, quota or headroom',
    labels: ['class', 'reason'],
  },
  spyoncino_uploaded_bytes_total: { help: 'Bytes of objects that are in the bucket', labels: ['kind'] },
  spyoncino_upload_failures_total: {
    help: 'Attempts that failed, by code of the reason',
    labels: ['reason'],
  },
  spyoncino_drops_total: {
    help: 'What was given up, where and why',
    /** e.g. stage=analysis reason=busy, stage=detect reason=superseded, stage=record reason=disk_slow */
    labels: ['stage', 'reason'],
  },
  spyoncino_reconnects_total: { help: 'Connections to a camera after the first', labels: ['role', 'code'] },
  spyoncino_child_exits_total: { help: 'Unexpected ends of child processes', labels: ['child', 'reason'] },
  spyoncino_events_total: { help: 'Events by phase', labels: ['phase', 'label'] },
  spyoncino_notifications_total: {
    help: 'Lines of the journal of notifications; outcome: queued, retried, sent, failed, folded, given_up',
    labels: ['channel', 'outcome'],
  },
  spyoncino_published_total: { help: 'Messages published on the bus', labels: ['topic'] },
} as const;

export const GAUGES = {
  spyoncino_camera_up: { help: '1 while pictures arrive', labels: ['role'] },
  spyoncino_ring_bytes: { help: 'Packets of the recent past held in memory', labels: [] },
  spyoncino_index_waiting_facts: { help: 'Facts that wait for the index', labels: [] },
  spyoncino_event_loop_delay_ms: { help: 'Event-loop delay, 99th percentile since last scrape', labels: [] },
  spyoncino_resident_bytes: { help: 'Resident memory of the process', labels: [] },
  spyoncino_disk_free_bytes: { help: 'Free space where the footage is', labels: [] },
  spyoncino_storage_alarms: { help: 'Alarms of the storage that are active', labels: [] },
  spyoncino_upload_backlog_objects: { help: 'Objects that wait to be copied to the bucket', labels: [] },
  spyoncino_upload_backfill_objects: {
    help: 'Of the objects: those that were recorded before uploads were switched on',
    labels: [],
  },
  spyoncino_upload_backlog_bytes: { help: 'The same in bytes, as far as it is known', labels: [] },
  spyoncino_gateway_clients: { help: 'Clients connected to the websocket gateway', labels: [] },
  spyoncino_bus_clients: { help: 'Clients connected to the bus', labels: [] },
} as const;

export type HistogramName = keyof typeof HISTOGRAMS;
export type CounterName = keyof typeof COUNTERS;
export type GaugeName = keyof typeof GAUGES;

/** How rooms report numbers. Labels of the process (camera, process) are added by its owner. */
export interface Meter {
  observe(name: HistogramName, value: number): void;
  count(name: CounterName, labels?: Readonly<Record<string, string>>, by?: number): void;
  set(name: GaugeName, value: number, labels?: Readonly<Record<string, string>>): void;
}

/** For places where nobody looks at numbers. */
export const noMeter: Meter = { observe() {}, count() {}, set() {} };
