-- What queries see. One statement each: one consistent view.

-- All that is known of invocations: the call, the live record or the outcome, attempts as JSON, the last progress note.
CREATE TYPE {api}.snapshot AS (
    id bytea, task_id text, queue text, language text, arguments bytea, policy bytea, meta bytea, parent bytea,
    root bytea, created_at bigint,
    state smallint, reason smallint, rank bigint, epoch bigint, attempt integer, crashes integer, owner bigint,
    worker bigint, need_left integer, not_before bigint, expires_at bigint, wait_until bigint,
    cancel_requested boolean, registered_at bigint, claimed_at bigint, started_at bigint, suspended_at bigint,
    status text, payload bytea, why text, o_attempt integer, o_crashes integer, o_epoch bigint, o_session bigint,
    o_worker bigint, o_registered_at bigint, o_claimed_at bigint, o_started_at bigint, o_ended_at bigint,
    o_expires_at bigint, attempts jsonb, progress bytea, gates jsonb, flow text, weight smallint, gate text
);

CREATE FUNCTION {api}.snapshots(p_now bigint, p_ids bytea[]) RETURNS SETOF {api}.snapshot LANGUAGE sql STABLE AS $$
    SELECT c.id, c.task_id, c.queue, c.language, c.arguments, c.policy, c.meta, c.parent, c.root, c.created_at,
        l.state, l.reason, l.rank, l.epoch, l.attempt, l.crashes, l.owner, l.worker, l.need_left, l.not_before,
        l.expires_at, l.wait_until, l.cancel_requested, l.registered_at, l.claimed_at, l.started_at, l.suspended_at,
        o.status, o.payload, o.reason, o.attempt, o.crashes, o.epoch, o.session, o.worker, o.registered_at,
        o.claimed_at, o.started_at, o.ended_at, o.expires_at,
        (SELECT jsonb_agg(jsonb_build_array(a.number, a.epoch, a.reason, a.session, a.worker, a.claimed_at,
            a.started_at, a.ended_at, encode(a.error, 'hex'), a.detail, a.suspended_at) ORDER BY a.position)
        FROM {schema}.attempt a WHERE a.id = c.id), p.body, to_jsonb(c.gates), c.flow, c.weight,
        CASE WHEN l.lane IS NULL THEN l.parked ELSE {api}.parked_before(l.lane) END
    FROM unnest(p_ids) WITH ORDINALITY AS w (id, place)
    JOIN {schema}.call c ON c.id = w.id
    LEFT JOIN {schema}.live l ON l.id = w.id
    LEFT JOIN {schema}.outcome o ON o.id = w.id
    LEFT JOIN {schema}.progress p ON p.id = w.id
    WHERE NOT EXISTS (SELECT FROM {api}.seal)
    ORDER BY w.place
$$;

CREATE FUNCTION {api}.outcomes(p_now bigint, p_ids bytea[]) RETURNS SETOF {api}.reply LANGUAGE sql STABLE AS $$
    SELECT * FROM {api}.outcome_rows(0, p_ids) WHERE NOT EXISTS (SELECT FROM {api}.seal)
$$;

-- Where invocations stand: a status, or state, reason, whether it began, and whether its lane waits for a gate.
CREATE FUNCTION {api}.standings(p_now bigint, p_ids bytea[])
RETURNS TABLE (id bytea, status text, state smallint, reason smallint, started boolean, parked boolean)
LANGUAGE sql STABLE AS $$
    SELECT w.id, o.status, l.state, l.reason, l.started_at IS NOT NULL, {api}.parked_before(l.lane) IS NOT NULL
    FROM unnest(p_ids) AS w (id) LEFT JOIN {schema}.outcome o ON o.id = w.id LEFT JOIN {schema}.live l ON l.id = w.id
    WHERE NOT EXISTS (SELECT FROM {api}.seal)
$$;

-- A part of all invocations, newest id first; filters that are NULL match everything.
CREATE FUNCTION {api}.scan(p_now bigint, p_before bytea, p_task text, p_queue text, p_parent bytea, p_budget integer)
RETURNS TABLE (id bytea, status text, state smallint, reason smallint, started boolean, parked boolean)
LANGUAGE sql STABLE AS $$
    SELECT c.id, o.status, l.state, l.reason, l.started_at IS NOT NULL, {api}.parked_before(l.lane) IS NOT NULL
    FROM (
        SELECT id FROM {schema}.call
        WHERE (p_before IS NULL OR id < p_before) AND (p_task IS NULL OR task_id = p_task)
            AND (p_queue IS NULL OR queue = p_queue) AND (p_parent IS NULL OR parent = p_parent)
        ORDER BY id DESC LIMIT p_budget
    ) AS c LEFT JOIN {schema}.outcome o ON o.id = c.id LEFT JOIN {schema}.live l ON l.id = c.id
    WHERE NOT EXISTS (SELECT FROM {api}.seal)
    ORDER BY c.id DESC
$$;

-- What ended dead, newest ending first, below a mark and not before an instant; with a queue, its alone.
CREATE FUNCTION {api}.dead(
    p_now bigint, p_queue text, p_below bigint, p_below_id bytea, p_since bigint, p_budget integer
) RETURNS TABLE (id bytea, ended_at bigint, status text, task_id text) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (SELECT FROM {api}.seal) THEN
        RETURN;
    ELSIF p_queue IS NULL THEN
        RETURN QUERY SELECT o.id, o.ended_at, o.status, c.task_id FROM (
            SELECT d.id, d.ended_at, d.status FROM {schema}.outcome d
            WHERE d.status IN ('failed', 'expired', 'concurrency_controlled_final')
                AND (d.ended_at, d.id) < (p_below, p_below_id) AND d.ended_at >= p_since
            ORDER BY d.ended_at DESC, d.id DESC LIMIT p_budget
        ) AS o JOIN {schema}.call c ON c.id = o.id ORDER BY o.ended_at DESC, o.id DESC;
    ELSE
        RETURN QUERY SELECT o.id, o.ended_at, o.status, c.task_id FROM (
            SELECT d.id, d.ended_at, d.status FROM {schema}.outcome d
            WHERE d.status IN ('failed', 'expired', 'concurrency_controlled_final') AND d.queue = p_queue
                AND (d.ended_at, d.id) < (p_below, p_below_id) AND d.ended_at >= p_since
            ORDER BY d.ended_at DESC, d.id DESC LIMIT p_budget
        ) AS o JOIN {schema}.call c ON c.id = o.id ORDER BY o.ended_at DESC, o.id DESC;
    END IF;
END
$$;

CREATE FUNCTION {api}.tally(p_now bigint, p_task text)
RETURNS TABLE (status text, state smallint, reason smallint, started boolean, parked boolean, number bigint)
LANGUAGE sql STABLE AS $$
    SELECT o.status, l.state, l.reason, l.started_at IS NOT NULL, a.parked IS NOT NULL, count(*)
    FROM {schema}.call c LEFT JOIN {schema}.outcome o ON o.id = c.id LEFT JOIN {schema}.live l ON l.id = c.id
    LEFT JOIN {schema}.lane a ON a.key = l.lane
    WHERE (p_task IS NULL OR c.task_id = p_task) AND NOT EXISTS (SELECT FROM {api}.seal)
    GROUP BY 1, 2, 3, 4, 5
$$;

CREATE FUNCTION {api}.children(p_now bigint, p_parent bytea) RETURNS SETOF bytea LANGUAGE sql STABLE AS $$
    SELECT id FROM {schema}.call WHERE parent = p_parent AND NOT EXISTS (SELECT FROM {api}.seal) ORDER BY id
$$;

CREATE FUNCTION {api}.queue_stats(p_now bigint)
RETURNS TABLE (queue text, ready bigint, delayed bigint, running bigint, suspended bigint, oldest bigint,
    paused boolean, paused_by text, pause_reason text, paused_at bigint, listeners bigint, blocked bigint)
LANGUAGE sql STABLE AS $$
    SELECT q.name, count(l.id) FILTER (WHERE l.state = 1 AND l.owner IS NULL AND a.parked IS NULL), count(l.id) FILTER (WHERE l.state = 0),
        count(l.id) FILTER (WHERE l.state = 2),
        count(l.id) FILTER (WHERE l.state = 3 OR (l.state = 1 AND l.owner IS NOT NULL)),
        min(l.registered_at) FILTER (WHERE l.state = 1 AND l.owner IS NULL AND a.parked IS NULL), q.paused,
        q.paused_by, q.pause_reason, q.paused_at, (SELECT count(*) FROM {api}.listeners(q.name)), count(a.parked)
    FROM {schema}.queue q LEFT JOIN {schema}.live l ON l.queue = q.name LEFT JOIN {schema}.lane a ON a.key = l.lane
    WHERE (q.used OR q.paused) AND NOT EXISTS (SELECT FROM {api}.seal)
    GROUP BY q.name ORDER BY q.name COLLATE "C"
$$;

-- explain: the facts that decide whether one invocation runs; the rest of them is asked for beside.
CREATE FUNCTION {api}.explain(p_now bigint, p_id bytea, p_most integer)
RETURNS TABLE (now bigint, queue text, paused boolean, paused_by text, pause_reason text, paused_at bigint, owner bigint,
    ahead bigint) LANGUAGE sql STABLE AS $$
    SELECT {api}.clock(p_now), c.queue, coalesce(q.paused, false), q.paused_by, q.pause_reason, q.paused_at, l.owner,
        CASE WHEN l.state = 1 AND l.owner IS NULL THEN (
            SELECT count(*) FROM (
                (SELECT FROM {schema}.live other
                WHERE other.queue = l.queue AND other.state = 1 AND other.owner IS NULL AND other.lane IS NULL
                    AND (other.rank, other.id) < (l.rank, l.id) LIMIT p_most)
                UNION ALL
                (SELECT FROM {schema}.live other
                WHERE other.queue = l.queue AND other.lane IS NOT NULL AND other.state = 1
                    AND (other.rank, other.id) < (l.rank, l.id) LIMIT p_most)
                LIMIT p_most
            ) AS before
        ) ELSE 0 END
    FROM {schema}.call c LEFT JOIN {schema}.queue q ON q.name = c.queue LEFT JOIN {schema}.live l ON l.id = c.id
    WHERE c.id = p_id AND NOT EXISTS (SELECT FROM {api}.seal)
$$;

-- What an invocation waits for.
CREATE FUNCTION {api}.awaited(p_now bigint, p_id bytea)
RETURNS TABLE (id bytea, task_id text, status text, state smallint, reason smallint, started boolean, parked boolean)
LANGUAGE sql STABLE AS $$
    SELECT w.waited, c.task_id, o.status, l.state, l.reason, l.started_at IS NOT NULL,
        {api}.parked_before(l.lane) IS NOT NULL
    FROM {schema}.wait w JOIN {schema}.call c ON c.id = w.waited
    LEFT JOIN {schema}.outcome o ON o.id = w.waited LEFT JOIN {schema}.live l ON l.id = w.waited
    WHERE w.waiter = p_id AND NOT EXISTS (SELECT FROM {api}.seal) ORDER BY w.waited
$$;
