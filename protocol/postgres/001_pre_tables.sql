-- The tables of a store, schema version 1. Instants and durations are microseconds, ids 16 bytes.
-- `{schema}` is replaced by the schema of the app.
--
-- Tables whose rows come and go ask for vacuums by a fixed number of dead rows, without pauses, and keep their empty pages
-- at the end: they need them again at once, and giving them back takes a lock that everybody would wait for.

-- Facts about the store itself: which migrations were applied, `sealed` (see pynenc/ports/transfer.py), and `gates` once
-- something was queued in a lane.
CREATE TABLE {schema}.meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);

-- What a sealed store says to whoever writes: the body of the triggers that functions/120_moving.sql puts on the tables. It
-- is here because functions of every release are bound by it. A transaction that sees an older state finds no text.
CREATE FUNCTION {schema}.refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'PN003',
        MESSAGE = coalesce((SELECT value FROM {schema}.meta WHERE name = 'sealed'), TG_ARGV[0]);
END
$$;

-- The rank of the next submission that brings no order of its own, and the number of the next session.
CREATE SEQUENCE {schema}.rank_sequence AS bigint START 1048576 MINVALUE 0;
CREATE SEQUENCE {schema}.session_number AS bigint MINVALUE 0 START 1;

-- Every queue that was ever used or paused.
CREATE TABLE {schema}.queue (
    name   text PRIMARY KEY,
    used   boolean NOT NULL DEFAULT false,
    paused boolean NOT NULL DEFAULT false,
    paused_by text NOT NULL DEFAULT '',
    pause_reason text NOT NULL DEFAULT '',
    paused_at bigint NOT NULL DEFAULT 0
);

-- A gate as a submission names it.
--   kind  0 slots, 1 rate, 2 breaker
--   mode  what a claim does that it stops: 0 park, 1 reject
--   most  slots: the limit; rate: the interval; breaker: so many failures close it
--   more  rate: the burst; breaker: for how long it closes
--   hold, block  slots: kept by a run that waits for others; kept while a retry is delayed
CREATE TYPE {schema}.gate AS (
    name text, kind smallint, mode smallint, most bigint, more bigint, hold boolean, block boolean
);

-- The immutable part of an invocation: written once, kept until the invocation is purged.
--   gates  by name
--   lane   with gates or a flow: a digest of queue, flow, and names and modes of gates; the key of its lane, unless it
--          has lenders
CREATE TABLE {schema}.call (
    id         bytea PRIMARY KEY,
    task_id    text NOT NULL,
    queue      text NOT NULL,
    language   text NOT NULL,
    arguments  bytea NOT NULL,
    policy     bytea NOT NULL,
    meta       bytea NOT NULL,
    parent     bytea,
    root       bytea NOT NULL,
    created_at bigint NOT NULL,
    gates      {schema}.gate[],
    flow       text,
    weight     smallint,
    lane       bytea
);
CREATE INDEX call_children ON {schema}.call (parent, id) WHERE parent IS NOT NULL;
-- How old the oldest known call is decides which client data may go.
CREATE INDEX call_created ON {schema}.call USING btree (created_at);

-- The control record of every invocation that is not final; narrow, because it is what changes.
--   state  0 BLOCKED, 1 READY, 2 OWNED, 3 SUSPENDED; a READY one with an owner is resumable
--   flags  bits that spare the plain path a look into other tables; a set bit may be out of date, a clear one never:
--          1 somebody waits for it (wait)
--          2 it has gates or a flow; never out of date
--   lane   READY, nobody's, with gates or a flow: where it is queued (lane)
--   parked, trial  resumable: the gate before which it waits; the gate of which a unit is kept for it
--   due    the earliest instant at which `tick` has to do something about it
CREATE TABLE {schema}.live (
    id               bytea PRIMARY KEY,
    queue            text NOT NULL,
    rank             bigint NOT NULL,
    registered_at    bigint NOT NULL,
    retention        bigint,
    max_crashes      integer NOT NULL,
    state            smallint NOT NULL DEFAULT 1,
    reason           smallint NOT NULL DEFAULT 0,
    epoch            bigint NOT NULL DEFAULT 0,
    attempt          integer NOT NULL DEFAULT 0,
    crashes          integer NOT NULL DEFAULT 0,
    owner            bigint,
    worker           bigint NOT NULL DEFAULT 0,
    need_left        integer NOT NULL DEFAULT 0,
    not_before       bigint,
    expires_at       bigint,
    wait_until       bigint,
    cancel_requested boolean NOT NULL DEFAULT false,
    claimed_at       bigint,
    started_at       bigint,
    suspended_at     bigint,
    flags            integer NOT NULL DEFAULT 0,
    key              bytea,
    key_phase        smallint NOT NULL DEFAULT 0,
    after_policy     smallint NOT NULL DEFAULT 0,
    timed_out        boolean NOT NULL DEFAULT false,
    waits            bytea,
    lane             bytea,
    parked           text COLLATE "C",
    trial            text COLLATE "C",
    due              bigint GENERATED ALWAYS AS (LEAST(
        CASE WHEN state = 0 AND need_left = 0 THEN not_before END,
        CASE WHEN state = 0 OR (state = 1 AND owner IS NULL) THEN expires_at END,
        CASE WHEN state = 3 THEN wait_until END
    )) STORED
) WITH (
    fillfactor = 80,
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2
);
-- One token per READY invocation that is in no lane: in `live_ready` without an owner, in `live_resumable` with one, unless
-- it is parked before a gate.
CREATE INDEX live_ready ON {schema}.live (queue, rank, id) WHERE state = 1 AND owner IS NULL AND lane IS NULL;
CREATE INDEX live_resumable ON {schema}.live (owner, rank, id) WHERE state = 1 AND owner IS NOT NULL AND parked IS NULL;
-- Members of lanes: by lane, and (for claims of what somebody waits for) by queue. The second one says more than a look into
-- one lane does, lest the planner walks through it for that while it believes the table to be empty.
CREATE INDEX live_lane ON {schema}.live (lane, rank, id) WHERE lane IS NOT NULL;
CREATE INDEX live_queued ON {schema}.live (queue, rank, id) WHERE lane IS NOT NULL AND state = 1;
CREATE INDEX live_parked ON {schema}.live (parked, rank, id) WHERE parked IS NOT NULL;
CREATE INDEX live_trial ON {schema}.live (trial) WHERE trial IS NOT NULL;
CREATE INDEX live_owned ON {schema}.live (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX live_due ON {schema}.live (due, id) WHERE due IS NOT NULL;

-- How an invocation ended, and what a requeue needs.
CREATE TABLE {schema}.outcome (
    id            bytea PRIMARY KEY,
    status        text NOT NULL,
    payload       bytea NOT NULL,
    reason        text NOT NULL,
    attempt       integer NOT NULL,
    crashes       integer NOT NULL,
    epoch         bigint NOT NULL,
    session       bigint NOT NULL,
    worker        bigint NOT NULL,
    registered_at bigint NOT NULL,
    claimed_at    bigint,
    started_at    bigint,
    ended_at      bigint NOT NULL,
    expires_at    bigint,
    band          smallint NOT NULL,
    retention     bigint,
    max_crashes   integer NOT NULL,
    key           bytea,
    key_phase     smallint NOT NULL,
    queue         text NOT NULL
);
-- Dead letters: of one queue, and of all.
CREATE INDEX outcome_dead ON {schema}.outcome (ended_at, id)
    WHERE status IN ('failed', 'expired', 'concurrency_controlled_final');
CREATE INDEX outcome_dead_queue ON {schema}.outcome (queue, ended_at, id)
    WHERE status IN ('failed', 'expired', 'concurrency_controlled_final');
CREATE INDEX outcome_expires ON {schema}.outcome (expires_at, id) WHERE expires_at IS NOT NULL;

-- Stretches of an invocation's life that did not end in its outcome.
CREATE TABLE {schema}.attempt (
    id           bytea NOT NULL,
    position     bigint GENERATED ALWAYS AS IDENTITY,
    number       integer NOT NULL,
    epoch        bigint NOT NULL,
    reason       smallint NOT NULL,
    session      bigint NOT NULL,
    worker       bigint NOT NULL,
    claimed_at   bigint NOT NULL,
    started_at   bigint,
    ended_at     bigint NOT NULL,
    error        bytea NOT NULL,
    detail       text NOT NULL,
    suspended_at bigint,
    PRIMARY KEY (id, position)
);

CREATE TABLE {schema}.progress (
    id   bytea PRIMARY KEY,
    body bytea NOT NULL
);

-- Who waits for what: a suspended invocation, or one that comes after others.
CREATE TABLE {schema}.wait (
    waiter bytea NOT NULL,
    waited bytea NOT NULL,
    PRIMARY KEY (waiter, waited)
);
CREATE INDEX wait_waited ON {schema}.wait (waited, waiter);

CREATE TABLE {schema}.watch (
    id      bytea NOT NULL,
    session bigint NOT NULL,
    PRIMARY KEY (id, session)
) WITH (
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX watch_session ON {schema}.watch (session, id);

-- Messages to sessions: a request to cancel (status is NULL, payload empty), or an outcome as it was written.
CREATE TABLE {schema}.inbox (
    session       bigint NOT NULL,
    position      bigint GENERATED ALWAYS AS IDENTITY,
    id            bytea NOT NULL,
    status        text,
    payload       bytea,
    reason        text NOT NULL,
    attempt       integer,
    crashes       integer,
    epoch         bigint NOT NULL,
    completed_by  bigint,
    worker        bigint,
    registered_at bigint,
    claimed_at    bigint,
    started_at    bigint,
    ended_at      bigint,
    expires_at    bigint,
    PRIMARY KEY (session, position)
) WITH (
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

--   mode, hash  as its holder took it
--   until       from then on nobody holds it any more
CREATE TABLE {schema}.dedupe (
    key   bytea PRIMARY KEY,
    id    bytea NOT NULL,
    mode  smallint NOT NULL DEFAULT 0,
    hash  bytea NOT NULL DEFAULT '',
    until bigint
);

-- Gates. Every change of these tables runs alone, see functions/010_common.sql. Names compare by their bytes.

-- READY invocations that nobody owns and that the same gates stop.
--   key          digest of queue, flow, names and modes of the gates (call), and of lenders
--   lenders      by gate: living ancestors that keep its unit while they wait, the nearest first
--   parked       the gate before which the lane waits; NULL: claims find it
--   trial        the gate whose freed unit it was let out to try
--   rank, first  its token: the first member
CREATE TABLE {schema}.lane (
    key     bytea PRIMARY KEY,
    queue   text COLLATE "C" NOT NULL,
    flow    text COLLATE "C",
    lenders jsonb,
    parked  text COLLATE "C",
    trial   text COLLATE "C",
    rank    bigint NOT NULL,
    first   bytea NOT NULL
) WITH (
    fillfactor = 80,
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX lane_ready ON {schema}.lane (queue, rank, first) WHERE parked IS NULL AND flow IS NULL;
CREATE INDEX lane_sharing ON {schema}.lane (queue, flow, rank, first) WHERE parked IS NULL AND flow IS NOT NULL;
CREATE INDEX lane_parked ON {schema}.lane (parked, queue, rank, first) WHERE parked IS NOT NULL;
CREATE INDEX lane_trial ON {schema}.lane (trial, queue) WHERE trial IS NOT NULL;

-- A flow of a queue, as long as one of its lanes is not parked.
--   tag    virtual time at which its next start would be over
--   place  its token among those of the queue: tag instead of rank
CREATE TABLE {schema}.share (
    queue text COLLATE "C" NOT NULL,
    flow  text COLLATE "C" NOT NULL,
    tag   bigint,
    place bigint NOT NULL,
    first bytea NOT NULL,
    PRIMARY KEY (queue, flow)
) WITH (fillfactor = 80, vacuum_truncate = off, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX share_place ON {schema}.share (queue, place, first);

-- Virtual time of queues that have flows.
CREATE TABLE {schema}.flow_time (
    queue text COLLATE "C" PRIMARY KEY,
    moment bigint NOT NULL
);

-- Who is inside a gate.
--   most     the limit that was in force when it was taken
--   lenders  who gets the unit back: the first of them that still waits; NULL: nobody
CREATE TABLE {schema}.unit (
    gate    text COLLATE "C" NOT NULL,
    id      bytea NOT NULL,
    since   bigint NOT NULL,
    most    bigint NOT NULL,
    lenders bytea[],
    PRIMARY KEY (gate, id)
) WITH (
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- What is parked before a gate and could pass it on the unit of this lender: a lane, or a resumable invocation.
CREATE TABLE {schema}.kin (
    lender bytea NOT NULL,
    gate   text COLLATE "C" NOT NULL,
    lane   bytea,
    id     bytea
);
CREATE INDEX kin_lender ON {schema}.kin (lender, gate);
CREATE INDEX kin_lane ON {schema}.kin (lane) WHERE lane IS NOT NULL;
CREATE INDEX kin_id ON {schema}.kin (id) WHERE id IS NOT NULL;

-- Theoretical arrival times of rates.
CREATE TABLE {schema}.rate (
    gate    text COLLATE "C" PRIMARY KEY,
    arrival bigint NOT NULL
) WITH (fillfactor = 80, vacuum_truncate = off, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX rate_arrival ON {schema}.rate (arrival);

-- Breakers that are not at rest.
CREATE TABLE {schema}.breaker (
    gate       text COLLATE "C" PRIMARY KEY,
    failures   bigint NOT NULL,
    open_since bigint,
    open_until bigint
);

-- When time opens a gate before which something is parked.
CREATE TABLE {schema}.gate_timer (
    gate text COLLATE "C" PRIMARY KEY,
    due  bigint NOT NULL
);
CREATE INDEX gate_timer_due ON {schema}.gate_timer (due, gate);

-- What holds whatever submissions say: a limit, interval and burst, or a weight.
CREATE TABLE {schema}.setting (
    name text COLLATE "C" PRIMARY KEY,
    most bigint NOT NULL,
    more bigint NOT NULL DEFAULT 0
);

--   bell        `channel/number`: what to NOTIFY, and with what; without a slash nobody listens
--   expires_at  the only indexed column that changes, so every other change stays within its page (HOT)
--   low         up to `low_until`, claims begin at this rank: what is before it is mostly dead rows of the index
CREATE TABLE {schema}.session (
    number      bigint PRIMARY KEY,
    info        bytea NOT NULL,
    lease       bigint NOT NULL,
    bell        text NOT NULL,
    is_runner   boolean NOT NULL,
    queues      text[] NOT NULL,
    opened_at   bigint NOT NULL,
    expires_at  bigint NOT NULL,
    ended_at    bigint,
    low         bigint NOT NULL DEFAULT 0,
    low_until   bigint NOT NULL DEFAULT 0
) WITH (
    fillfactor = 50,
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX session_live ON {schema}.session (expires_at) WHERE ended_at IS NULL;
CREATE INDEX session_ended ON {schema}.session (ended_at, number) WHERE ended_at IS NOT NULL;

-- Sessions that sleep until they are rung. Unlogged: it changes with every nap, and a crash of the server, which empties
-- it, also breaks the connections that sleepers listen on; so each of them looks for work and registers anew.
CREATE UNLOGGED TABLE {schema}.sleeper (
    number bigint PRIMARY KEY,
    bell   text NOT NULL,
    queues text[] NOT NULL
) WITH (
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE {schema}.data (
    key        bytea PRIMARY KEY,
    body       bytea NOT NULL,
    written_at bigint NOT NULL
);
CREATE INDEX data_written ON {schema}.data (written_at);
ALTER TABLE {schema}.data ALTER COLUMN body SET STORAGE EXTERNAL;
