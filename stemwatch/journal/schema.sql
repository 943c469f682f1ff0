-- The journal, version 1. One row a song; a transition is an UPDATE and a history row, together.

CREATE TABLE jobs (
    id              INTEGER PRIMARY KEY,
    state           TEXT NOT NULL CHECK (state IN
                    ('queued', 'submitting', 'separating', 'separated',
                     'delivered', 'done', 'quarantined', 'gone')),
    path            BLOB NOT NULL,          -- bytes: file names need not be UTF-8
    relpath         BLOB NOT NULL,
    identity        TEXT NOT NULL,          -- device:inode:size:mtime_ns
    sha256          TEXT NOT NULL,
    content_key     TEXT NOT NULL,          -- what is paid for once
    options         TEXT NOT NULL,          -- JSON: stems, format, mixes, stem_file
    outbox          BLOB NOT NULL,
    origin          TEXT NOT NULL,          -- inbox | split
    owner           TEXT,                   -- the `split` process that works on it
    duration        REAL,                   -- seconds
    codec           TEXT,
    sample_rate     INTEGER,
    channels        INTEGER,
    idempotency_key TEXT,
    remote_id       TEXT,
    engine          TEXT,
    bpm             REAL,
    key             TEXT,
    submitted_at    REAL,                   -- times: Unix seconds
    completed_at    REAL,
    delivered_to    BLOB,
    filed_to        BLOB,
    not_before      REAL NOT NULL,
    attempts        INTEGER NOT NULL,
    code            TEXT,
    message         TEXT,
    hint            TEXT,
    http_status     INTEGER,
    request_id      TEXT,
    created_at      REAL NOT NULL,
    updated_at      REAL NOT NULL
) STRICT;

-- The second promise, kept by the database itself: two jobs can't be under way for one content.
CREATE UNIQUE INDEX paid_once ON jobs (content_key)
    WHERE state IN ('submitting', 'separating', 'separated');
CREATE INDEX jobs_to_claim ON jobs (state, id) WHERE state NOT IN ('done', 'gone');
CREATE INDEX jobs_due ON jobs (state, not_before) WHERE state NOT IN ('done', 'gone');
CREATE INDEX jobs_by_path ON jobs (path);
CREATE INDEX jobs_by_content ON jobs (content_key, state);

CREATE TABLE history (
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    at     REAL NOT NULL,
    state  TEXT NOT NULL,
    note   TEXT NOT NULL
) STRICT;
CREATE INDEX history_by_job ON history (job_id);

-- What may have been charged: written with the intent, taken back when the server took nothing.
CREATE TABLE spend (
    idempotency_key TEXT PRIMARY KEY,
    job_id          INTEGER NOT NULL REFERENCES jobs (id),
    at              REAL NOT NULL,
    minutes         REAL NOT NULL,
    price           REAL NOT NULL
) STRICT;
CREATE INDEX spend_by_time ON spend (at);

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
