/**
 * The index of the footage, as SQL. Version N of the schema is what the first N migrations make; a migration is
 * never edited after a release. Times are UTC ms, sizes bytes, hashes raw SHA-256.
 *
 * The tables that grow with time are narrow, and what a timeline asks for is answered from their indexes alone.
 */
export const MIGRATIONS: readonly string[] = [
  `
  -- Disks that footage was ever kept on; rows of another disk than the mounted one are "elsewhere", not lost.
  CREATE TABLE media (
    no            INTEGER PRIMARY KEY,
    media_id      TEXT NOT NULL UNIQUE,
    accepted_ms   INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE camera (
    no            INTEGER PRIMARY KEY,
    camera_id     TEXT NOT NULL UNIQUE,
    -- Of the first fact of it; nothing was to be recorded before.
    since_ms      INTEGER NOT NULL
  ) STRICT;

  -- One row per start of the agent. What lies between the end of one and the start of the next is a gap.
  CREATE TABLE run (
    no            INTEGER PRIMARY KEY,
    started_ms    INTEGER NOT NULL,
    -- Last sign of life; exact when ended is 1.
    alive_ms      INTEGER NOT NULL,
    ended         INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX run_alive ON run (alive_ms);

  -- Closed footage files. Committed only when file and name are durable on the disk.
  CREATE TABLE file (
    no            INTEGER PRIMARY KEY,
    file_id       TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL CHECK (kind IN ('clip', 'segment')),
    camera        INTEGER NOT NULL REFERENCES camera,
    media         INTEGER NOT NULL REFERENCES media,
    -- Relative to the data directory.
    path          TEXT NOT NULL,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER NOT NULL,
    size_bytes    INTEGER NOT NULL,
    -- What retention goes by; a segment that an event's clip ranges over is 'event'.
    class         TEXT NOT NULL CHECK (class IN ('continuous', 'event', 'protected')),
    uploaded_ms   INTEGER,
    -- Known to be gone though nobody here deleted it.
    missing_ms    INTEGER
  ) STRICT;
  CREATE INDEX file_time ON file (camera, start_ms, end_ms, media, missing_ms);
  CREATE INDEX file_retention ON file (media, class, camera, start_ms) WHERE missing_ms IS NULL;
  CREATE INDEX file_uploaded ON file (media, class, camera, start_ms)
    WHERE uploaded_ms IS NOT NULL AND missing_ms IS NULL;

  -- Only of files with holes: footage from start to end otherwise.
  CREATE TABLE coverage (
    file          INTEGER NOT NULL REFERENCES file ON DELETE CASCADE,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER NOT NULL,
    PRIMARY KEY (file, start_ms)
  ) STRICT, WITHOUT ROWID;

  -- Sums per disk, class and camera, kept by the triggers below.
  CREATE TABLE total (
    media         INTEGER NOT NULL REFERENCES media,
    class         TEXT NOT NULL,
    camera        INTEGER NOT NULL REFERENCES camera,
    files         INTEGER NOT NULL,
    size_bytes    INTEGER NOT NULL,
    PRIMARY KEY (media, class, camera)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER file_added AFTER INSERT ON file WHEN new.missing_ms IS NULL BEGIN
    INSERT INTO total VALUES (new.media, new.class, new.camera, 1, new.size_bytes)
      ON CONFLICT DO UPDATE SET files = files + 1, size_bytes = size_bytes + excluded.size_bytes;
  END;
  CREATE TRIGGER file_removed AFTER DELETE ON file WHEN old.missing_ms IS NULL BEGIN
    UPDATE total SET files = files - 1, size_bytes = size_bytes - old.size_bytes
      WHERE media = old.media AND class = old.class AND camera = old.camera;
  END;
  CREATE TRIGGER file_changed AFTER UPDATE OF media, class, size_bytes, missing_ms ON file BEGIN
    UPDATE total SET files = files - 1, size_bytes = size_bytes - old.size_bytes
      WHERE old.missing_ms IS NULL AND media = old.media AND class = old.class AND camera = old.camera;
    INSERT INTO total SELECT new.media, new.class, new.camera, 1, new.size_bytes WHERE new.missing_ms IS NULL
      ON CONFLICT DO UPDATE SET files = files + 1, size_bytes = size_bytes + excluded.size_bytes;
  END;

  -- One visit of one object. The whole state is kept as JSON (contract/facts.ts, EventState); what lists and
  -- filters need stands beside it.
  CREATE TABLE event (
    no            INTEGER PRIMARY KEY,
    event_id      TEXT NOT NULL UNIQUE,
    camera        INTEGER NOT NULL REFERENCES camera,
    label         TEXT NOT NULL,
    score         REAL NOT NULL,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER,
    is_protected  INTEGER NOT NULL DEFAULT 0,
    -- JSON list of the zones it was in.
    zones         TEXT NOT NULL,
    state         TEXT NOT NULL
  ) STRICT;
  CREATE INDEX event_time ON event (camera, start_ms, end_ms);
  CREATE INDEX event_all ON event (start_ms);
  -- Whoever looks for what reaches into a time looks LONG_MS back, and here for what is longer. Files never are.
  CREATE INDEX event_long ON event (camera, end_ms) WHERE end_ms - start_ms > 7200000;
  CREATE INDEX event_open ON event (camera, start_ms) WHERE end_ms IS NULL;

  -- The recording of one or more events: a file of its own, or (file IS NULL) a range over segments.
  CREATE TABLE clip (
    no            INTEGER PRIMARY KEY,
    clip_id       TEXT NOT NULL UNIQUE,
    camera        INTEGER NOT NULL REFERENCES camera,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER NOT NULL,
    file          INTEGER REFERENCES file ON DELETE SET NULL
  ) STRICT;
  CREATE INDEX clip_time ON clip (camera, start_ms, end_ms);
  CREATE INDEX clip_all ON clip (start_ms);
  CREATE INDEX clip_file ON clip (file);

  -- Overlapping events share a clip; a long event goes on in several.
  CREATE TABLE clip_event (
    event         INTEGER NOT NULL REFERENCES event ON DELETE CASCADE,
    clip          INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
    PRIMARY KEY (event, clip)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX clip_event_clip ON clip_event (clip, event);

  CREATE TABLE still (
    event         INTEGER PRIMARY KEY REFERENCES event ON DELETE CASCADE,
    media         INTEGER NOT NULL REFERENCES media,
    path          TEXT NOT NULL,
    utc_ms        INTEGER NOT NULL,
    size_bytes    INTEGER NOT NULL
  ) STRICT;

  -- Time without footage that should have been recorded, and why.
  CREATE TABLE gap (
    no            INTEGER PRIMARY KEY,
    camera        INTEGER NOT NULL REFERENCES camera,
    start_ms      INTEGER NOT NULL,
    -- null while it goes on
    end_ms        INTEGER,
    code          TEXT NOT NULL,
    message       TEXT NOT NULL
  ) STRICT;
  CREATE INDEX gap_time ON gap (camera, start_ms, end_ms);
  CREATE INDEX gap_long ON gap (camera, end_ms) WHERE end_ms - start_ms > 7200000;
  CREATE UNIQUE INDEX gap_open ON gap (camera) WHERE end_ms IS NULL;

  -- Files to delete: the row is committed before the file goes, and forgotten when that is durable.
  CREATE TABLE garbage (
    no            INTEGER PRIMARY KEY,
    media         INTEGER NOT NULL REFERENCES media,
    path          TEXT NOT NULL,
    since_ms      INTEGER NOT NULL,
    UNIQUE (media, path)
  ) STRICT;

  -- Who wants to be told of what (upload, notifications, …).
  CREATE TABLE consumer (
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    PRIMARY KEY (name, kind)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX consumer_kind ON consumer (kind, name);

  -- What each consumer has yet to do; written in the transaction that commits the fact.
  CREATE TABLE outbox (
    no            INTEGER PRIMARY KEY,
    consumer      TEXT NOT NULL,
    kind          TEXT NOT NULL,
    ref           TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    UNIQUE (consumer, kind, ref)
  ) STRICT;
  CREATE INDEX outbox_order ON outbox (consumer, no);
  CREATE INDEX outbox_ref ON outbox (ref);

  -- The hash chain of each camera. Links outlive the files they speak of.
  CREATE TABLE link (
    camera        INTEGER NOT NULL REFERENCES camera,
    position      INTEGER NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('clip', 'segment', 'export')),
    file_id       TEXT NOT NULL,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER NOT NULL,
    size_bytes    INTEGER NOT NULL,
    sha256        BLOB NOT NULL,
    hash          BLOB NOT NULL,
    closed_ms     INTEGER NOT NULL,
    PRIMARY KEY (camera, position)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX link_file ON link (file_id);
  CREATE INDEX link_sha256 ON link (sha256);
  `,
  `
  -- Messages to people: one row for each message to one receiver (lane). The whole of it is JSON
  -- (contract/notify.ts, Notice); what is asked for stands beside it.
  CREATE TABLE notice (
    lane          TEXT NOT NULL,
    notice_id     TEXT NOT NULL,
    -- Of the last change.
    changed_ms    INTEGER NOT NULL,
    -- Whoever sends it still needs it.
    is_open       INTEGER NOT NULL,
    state         TEXT NOT NULL,
    PRIMARY KEY (lane, notice_id)
  ) STRICT;
  CREATE INDEX notice_open ON notice (lane) WHERE is_open;
  CREATE INDEX notice_closed ON notice (changed_ms) WHERE NOT is_open;

  -- The journal of them: every attempt, as contract/notify.ts says.
  CREATE TABLE attempt (
    no            INTEGER PRIMARY KEY,
    lane          TEXT NOT NULL,
    notice_id     TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,
    outcome       TEXT NOT NULL,
    action        TEXT NOT NULL,
    tries         INTEGER NOT NULL,
    -- Of the error; null without one.
    code          TEXT,
    message       TEXT
  ) STRICT;
  `,
  `
  -- What is, or is to be, in a bucket: one row per object. See contract/sync.ts for the states.
  CREATE TABLE remote (
    no            INTEGER PRIMARY KEY,
    key           TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL CHECK (kind IN ('still', 'clip', 'segment')),
    -- Of the clip or segment; of a still: of its event.
    ref           TEXT NOT NULL,
    camera        INTEGER NOT NULL REFERENCES camera,
    -- Disk and place of its file; null until there is one.
    media         INTEGER REFERENCES media,
    path          TEXT,
    start_ms      INTEGER NOT NULL,
    end_ms        INTEGER NOT NULL,
    -- JSON list of [start_ms, end_ms], of footage with holes.
    coverage      TEXT,
    size_bytes    INTEGER,
    sha256        BLOB,
    state         TEXT NOT NULL CHECK (state IN ('local', 'queued', 'uploading', 'verified', 'expired')),
    revision      INTEGER NOT NULL DEFAULT 1,
    upload_id     TEXT,
    -- JSON list of {part, etag}.
    parts         TEXT NOT NULL DEFAULT '[]',
    etag          TEXT,
    attempts      INTEGER NOT NULL DEFAULT 0,
    -- Code of what went wrong last, and when it is tried again.
    error         TEXT,
    retry_ms      INTEGER NOT NULL DEFAULT 0,
    queued_ms     INTEGER NOT NULL,
    -- Of the state.
    changed_ms    INTEGER NOT NULL,
    -- The object was seen in the bucket, whole; stays when the file here goes.
    verified_ms   INTEGER
  ) STRICT;
  CREATE INDEX remote_ref ON remote (ref);
  CREATE INDEX remote_open ON remote (kind, no) WHERE state IN ('local', 'queued', 'uploading');
  CREATE INDEX remote_day ON remote (camera, start_ms) WHERE verified_ms IS NOT NULL;
  CREATE INDEX remote_expired ON remote (changed_ms) WHERE state = 'expired';

  -- Days of cameras with objects in the bucket, and whether their manifest there shows all of them.
  CREATE TABLE manifest (
    camera        INTEGER NOT NULL REFERENCES camera,
    day           TEXT NOT NULL,
    revision      INTEGER NOT NULL,
    -- Of the revision that is in the bucket; 0: none is.
    written       INTEGER NOT NULL DEFAULT 0,
    changed_ms    INTEGER NOT NULL,
    PRIMARY KEY (camera, day)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX manifest_due ON manifest (changed_ms) WHERE written < revision;
  `,
  `
  -- What other rooms keep over a restart: maps of JSON values, by name.
  CREATE TABLE state (
    no            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL,
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    UNIQUE (name, key)
  ) STRICT;
  `,
  `
  -- JSON (contract/sync.ts, RemoteSeal): how it is being encrypted. A secret, and gone once the object is there.
  ALTER TABLE remote ADD COLUMN seal TEXT;
  -- JSON (contract/sync.ts, RemoteSealed): what lies there, where that is not the file itself.
  ALTER TABLE remote ADD COLUMN sealed TEXT;
  -- It was recorded before anybody wanted it copied.
  ALTER TABLE remote ADD COLUMN is_backfill INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- The oldest version of the schema whose programs can use this index as it is (USABLE_SINCE).
  CREATE TABLE usable (since_version INTEGER NOT NULL) STRICT;
  INSERT INTO usable VALUES (0);
  `,
];

/**
 * Programs of this version of the schema, and of later ones, can use an index that has all migrations: after an update that fell
 * back the older program goes on where it was. To be raised only by a migration that takes away or changes what they use;
 * whoever comes back from that has no index.
 */
export const USABLE_SINCE = 6;

/** Longer than any clip or segment may be. */
export const LONG_MS = 7_200_000;
