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
-- Other tables name a queue by its number. `gated`: it has, or once had, lanes; claims look for them only where it is
-- set. `virtual`: how far the shares of its flows have come, NULL while no flow has work.
CREATE TABLE queue (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    used         INTEGER NOT NULL DEFAULT 0,
    paused       INTEGER NOT NULL DEFAULT 0,
    paused_by    TEXT NOT NULL DEFAULT '',
    pause_reason TEXT NOT NULL DEFAULT '',
    paused_at    INTEGER NOT NULL DEFAULT 0,
    gated        INTEGER NOT NULL DEFAULT 0,
    virtual      INTEGER
);

-- The immutable part of an invocation: written once, kept until the invocation is purged. `gates`: gates and flow as
-- MessagePack, NULL for most.
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
    max_crashes INTEGER NOT NULL,
    gates       BLOB
) WITHOUT ROWID;

CREATE INDEX call_children ON call (parent, id) WHERE parent IS NOT NULL;
-- How old the oldest known call is decides which client data may go.
CREATE INDEX call_created ON call (created_at);

-- The control record of every invocation that is not final; narrow, because it is what changes.
--   flags  bits that spare the plain path a look into other tables; a set bit may be out of date, a clear one never:
--          1 somebody waits for it (wait), 2 somebody watches it (watch), 4 it holds a deduplication key (dedupe),
--          8 comes after others and any ending of theirs will do, 16 its wait ended by its timeout,
--          32 it has gates or a flow, 64 the same, and a run submitted it,
--          128 comes after others and ends FAILED if they do not end as it wants
--   due    the earliest instant at which `tick` has to do something about it
--   lane   READY, gated and without an owner: the lane it queues in; resumable, but parked before a gate: 0
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
    lane             INTEGER
) WITHOUT ROWID;

-- State 1 is READY. One token per READY invocation that is not gated: in `live_ready` without an owner, in `live_owned`
-- with one. Members of a lane are in `live_ready` under the lane, where no claim of others passes them.
CREATE INDEX live_ready ON live (queue, lane, rank, id) WHERE state = 1 AND owner IS NULL;
CREATE INDEX live_owned ON live (owner, state, lane, rank, id) WHERE owner IS NOT NULL;
CREATE INDEX live_due ON live (due, id) WHERE due IS NOT NULL;
-- Gated work that somebody may need: 1 or 64 of the flags.
CREATE INDEX live_needed ON live (queue, rank, id) WHERE lane > 0 AND flags & 65;

-- READY invocations without an owner that the same gates stop. One token each, its first member (rank, first): in
-- `lane_ready`, in `lane_flow` of its flow, or in `lane_parked` of the gate before which it waits.
--   key      a hash of what its members have in common
--   trial    the gate whose freed unit it was let out to try
--   lenders  ancestors of its members that keep units while they wait, as MessagePack
CREATE TABLE lane (
    id      INTEGER PRIMARY KEY,
    key     BLOB NOT NULL UNIQUE,
    queue   INTEGER NOT NULL,
    flow    TEXT,
    parked  TEXT,
    trial   TEXT,
    rank    INTEGER NOT NULL,
    first   BLOB NOT NULL,
    lenders BLOB
);

CREATE INDEX lane_ready ON lane (queue, rank, first) WHERE parked IS NULL AND flow IS NULL;
CREATE INDEX lane_flow ON lane (queue, flow, rank, first) WHERE parked IS NULL AND flow IS NOT NULL;
CREATE INDEX lane_parked ON lane (parked, queue, rank, first) WHERE parked IS NOT NULL;
CREATE INDEX lane_trial ON lane (trial, queue) WHERE trial IS NOT NULL;

-- A flow of a queue while one of its lanes is not parked. `tag` is the virtual time at which its next start would be
-- over; (rank, first) the order under which that start comes.
CREATE TABLE share (
    queue INTEGER NOT NULL,
    flow  TEXT NOT NULL,
    tag   INTEGER NOT NULL,
    rank  INTEGER NOT NULL,
    first BLOB NOT NULL,
    PRIMARY KEY (queue, flow)
) WITHOUT ROWID;

CREATE INDEX share_order ON share (queue, rank, first);

-- Resumable invocations that wait before a gate (parked), or for which a unit of a gate is kept (trial).
CREATE TABLE resuming (
    id      BLOB NOT NULL PRIMARY KEY,
    rank    INTEGER NOT NULL,
    parked  TEXT,
    trial   TEXT,
    lenders BLOB
) WITHOUT ROWID;

CREATE INDEX resuming_parked ON resuming (parked, rank, id) WHERE parked IS NOT NULL;
CREATE INDEX resuming_trial ON resuming (trial) WHERE trial IS NOT NULL;

-- What is parked before a gate that it could pass on the unit of a lender: a lane, or (lane 0) a resumable invocation.
CREATE TABLE kin (
    lender BLOB NOT NULL,
    gate   TEXT NOT NULL,
    lane   INTEGER NOT NULL,
    id     BLOB NOT NULL,
    PRIMARY KEY (lender, gate, lane, id)
) WITHOUT ROWID;

-- Who is inside a gate. `most`: the limit in force when the unit was taken; `lenders`: who gets it back, the first of
-- them that still waits, as ids one after the other.
CREATE TABLE holder (
    gate    TEXT NOT NULL,
    id      BLOB NOT NULL,
    since   INTEGER NOT NULL,
    lenders BLOB NOT NULL,
    most    INTEGER NOT NULL,
    PRIMARY KEY (gate, id)
) WITHOUT ROWID;

-- Theoretical arrival times of rate gates (GCRA); one that has passed says nothing any more.
CREATE TABLE rate (
    gate    TEXT NOT NULL PRIMARY KEY,
    arrival INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX rate_arrival ON rate (arrival);

-- Breakers that are not at rest.
CREATE TABLE breaker (
    gate       TEXT NOT NULL PRIMARY KEY,
    failures   INTEGER NOT NULL,
    open_since INTEGER,
    open_until INTEGER
) WITHOUT ROWID;

-- When time opens a gate before which something is parked.
CREATE TABLE gate_timer (
    gate TEXT NOT NULL PRIMARY KEY,
    due  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX gate_timer_due ON gate_timer (due, gate);

-- What was set live instead of what submissions say, as MessagePack.
CREATE TABLE gate_setting (
    name TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;

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

-- Deduplication keys that are held, and until when (DedupePhase), as their holders took them.
CREATE TABLE dedupe (
    key       BLOB NOT NULL PRIMARY KEY,
    id        BLOB NOT NULL,
    phase     INTEGER NOT NULL,
    mode      INTEGER NOT NULL,
    arguments BLOB NOT NULL,
    window    INTEGER NOT NULL
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
