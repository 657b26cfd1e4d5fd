-- The tables of a Pynenc store, schema version 1. Instants and durations are microseconds, ids 16 raw bytes.
-- Every table whose key is not a counter is WITHOUT ROWID: one b-tree instead of two (measured: 10 % more
-- invocations per second than tables with a rowid and a unique index).

-- Facts about the store itself; `sealed` is a text (see pynenc/ports/transfer.py).
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- The rank of the next submission that brings no order of its own.
INSERT INTO meta (name, value) VALUES ('sequence', 1048576);

-- Every queue that was ever used or paused, and never forgotten: processes remember the numbers.
-- Other tables name a queue by its number.
CREATE TABLE queue (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    used   INTEGER NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0
);

-- The immutable part of an invocation: written once, kept until the invocation is purged.
CREATE TABLE call (
    id          BLOB NOT NULL PRIMARY KEY,
    task_id     TEXT NOT NULL,
    queue       INTEGER NOT NULL,
    language    TEXT NOT NULL,
    arguments   BLOB NOT NULL,
    policy      BLOB NOT NULL,
    meta        BLOB NOT NULL,
    parent      BLOB,
    root        BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    band        INTEGER NOT NULL,
    retention   INTEGER,
    max_crashes INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX call_children ON call (parent, id) WHERE parent IS NOT NULL;
-- How old the oldest known call is decides which client data may go.
CREATE INDEX call_created ON call (created_at);

-- The control record of every invocation that is not final; narrow, because it is what changes.
--   flags  bits that spare the plain path a look into other tables; a set bit may be out of date, a clear one never:
--          1 somebody waits for it (wait), 2 somebody watches it (watch), 4 it holds a deduplication key (dedupe),
--          8 comes after others and any ending of theirs will do, 16 its wait ended by its timeout,
--          32 comes after others and ends FAILED if they do not end as it wants
--   due    the earliest instant at which `tick` has to do something about it
--   gates, lane  room for keyed concurrency: the gates it has to pass and the lane its token is parked in; NULL now
CREATE TABLE live (
    id               BLOB NOT NULL PRIMARY KEY,
    state            INTEGER NOT NULL,
    reason           INTEGER NOT NULL,
    queue            INTEGER NOT NULL,
    rank             INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    crashes          INTEGER NOT NULL,
    owner            INTEGER,
    worker           INTEGER NOT NULL,
    need_left        INTEGER NOT NULL,
    not_before       INTEGER,
    expires_at       INTEGER,
    wait_until       INTEGER,
    cancel_requested INTEGER NOT NULL,
    registered_at    INTEGER NOT NULL,
    claimed_at       INTEGER,
    started_at       INTEGER,
    suspended_at     INTEGER,
    retention        INTEGER,
    max_crashes      INTEGER NOT NULL,
    due              INTEGER,
    flags            INTEGER NOT NULL,
    gates            BLOB,
    lane             INTEGER
) WITHOUT ROWID;

-- State 1 is READY. One token per READY invocation: in `live_ready` without an owner, in `live_owned` with one.
CREATE INDEX live_ready ON live (queue, rank, id) WHERE state = 1 AND owner IS NULL;
CREATE INDEX live_owned ON live (owner, state, rank, id) WHERE owner IS NOT NULL;
CREATE INDEX live_due ON live (due, id) WHERE due IS NOT NULL;

-- How an invocation ended; exists exactly when there is no row in live.
CREATE TABLE outcome (
    id            BLOB NOT NULL PRIMARY KEY,
    status        INTEGER NOT NULL,
    payload       BLOB NOT NULL,
    reason        TEXT NOT NULL,
    attempt       INTEGER NOT NULL,
    crashes       INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    session       INTEGER NOT NULL,
    worker        INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    claimed_at    INTEGER,
    started_at    INTEGER,
    ended_at      INTEGER NOT NULL,
    expires_at    INTEGER
) WITHOUT ROWID;

-- What ended FAILED, EXPIRED or dropped by concurrency control: dead letters.
CREATE INDEX outcome_dead ON outcome (ended_at, id) WHERE status IN (2, 4, 5);
CREATE INDEX outcome_expiry ON outcome (expires_at, id) WHERE expires_at IS NOT NULL;

-- Stretches of an invocation's life that did not end in its outcome, in the order written.
CREATE TABLE attempt (
    position     INTEGER PRIMARY KEY,
    id           BLOB NOT NULL,
    number       INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    reason       INTEGER NOT NULL,
    session      INTEGER NOT NULL,
    worker       INTEGER NOT NULL,
    claimed_at   INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER NOT NULL,
    error        BLOB NOT NULL,
    detail       TEXT NOT NULL,
    suspended_at INTEGER
);

CREATE INDEX attempt_invocation ON attempt (id, position);

-- Who waits for whom; `waited` is never final. The count of a waiter is live.need_left.
CREATE TABLE wait (
    waiter BLOB NOT NULL,
    waited BLOB NOT NULL,
    PRIMARY KEY (waiter, waited)
) WITHOUT ROWID;

CREATE INDEX wait_waited ON wait (waited, waiter);

-- What a suspended or resumable invocation asked to wait for, as ids one after the other.
CREATE TABLE waitlist (
    id    BLOB NOT NULL PRIMARY KEY,
    waits BLOB NOT NULL
) WITHOUT ROWID;

-- Incarnations of runners and clients. `idle_for` is NULL unless the session sleeps until its doorbell rings for
-- new work; then the queues it would claim from, as JSON, [] for all without a language in their name.
CREATE TABLE session (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    info          BLOB NOT NULL,
    doorbell      TEXT NOT NULL,
    lease         INTEGER NOT NULL,
    opened_at     INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    idle_for      TEXT
);

CREATE INDEX session_expiry ON session (expires_at, id) WHERE ended_at IS NULL;
CREATE INDEX session_ended ON session (ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX session_idle ON session (id) WHERE idle_for IS NOT NULL;

-- Messages for sessions. A finished one (kind 1) is read from outcome, unless that had to go before: then `body`.
CREATE TABLE inbox (
    position INTEGER PRIMARY KEY,
    session  INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    id       BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    detail   TEXT NOT NULL,
    body     BLOB
);

CREATE INDEX inbox_session ON inbox (session, position);

-- Sessions that want to hear of the end of an invocation.
CREATE TABLE watch (
    id      BLOB NOT NULL,
    session INTEGER NOT NULL,
    PRIMARY KEY (id, session)
) WITHOUT ROWID;

CREATE INDEX watch_session ON watch (session);

-- Deduplication keys that are held, and until when (DedupePhase).
CREATE TABLE dedupe (
    key   BLOB NOT NULL PRIMARY KEY,
    id    BLOB NOT NULL,
    phase INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX dedupe_holder ON dedupe (id);

-- The last progress note of an invocation.
CREATE TABLE progress (
    id   BLOB NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;

-- Large arguments and results by the hash of their content.
CREATE TABLE blob (
    key        BLOB NOT NULL UNIQUE,
    data       BLOB NOT NULL,
    written_at INTEGER NOT NULL
);

CREATE INDEX blob_written ON blob (written_at);
