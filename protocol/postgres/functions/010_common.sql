-- What the operations share.
--
-- Locks. Every operation that writes takes the app's lock for the length of its transaction: shared if it is plain,
-- exclusive if what it decides depends on records that others may change at the same time (waits, cancellations,
-- deduplication, ends of sessions, gates). So plain traffic runs side by side, guarded by the locks of its rows, and
-- everything else runs alone, as in memory. A plain operation that meets something that is not plain raises PN002 and is
-- sent again as an exclusive one. Locks are taken in this order, so that nobody waits in a circle: the app's, that of
-- watchers, rows by id, that of sleepers.
--
-- Plans. Operations pin their plans to index scans and nested loops: the tables they touch go from empty to millions of
-- rows and back within minutes, and a plan made for one of these is ruinous for the other. That alone does not decide
-- which table a join begins with, and one that was planned while `live` was empty would begin there. So nothing joins a
-- large table freely: rows are named by `id = ANY (array)`, or looked up one by one in a LATERAL with OFFSET 0, which the
-- planner may not reorder. What frees rows of a session compares `coalesce(owner, 0)`, lest the index of owners is used. A
-- scan that is off still happens where there is no other way, at a cost so high that the server would compile it: no JIT.
-- Both are settings of the functions, because connections behind pgbouncer have none of their own.
--
-- Errors: PN001 the session has ended (message: its number); PN002 not plain, send it again exclusively; PN003 the store is
-- sealed (message: the seal); PN004 the seal that a move relies on is not there.

CREATE FUNCTION {api}.clock(p_now bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
$$;

-- Fail with the text of the seal, unless this is an operation of a move, which says so by a setting.
CREATE FUNCTION {api}.refuse(p_seal text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF current_setting('pynenc.moving', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION USING ERRCODE = 'PN003', MESSAGE = p_seal;
    END IF;
    RETURN false;
END
$$;

-- Empty; in a sealed store whoever looks fails. For what the triggers of such a store do not stop, because it writes nothing
-- or may find nothing to write: see 120_moving.sql.
CREATE VIEW {api}.seal AS SELECT value FROM {schema}.meta WHERE name = 'sealed' AND {api}.refuse(value);

CREATE FUNCTION {api}.lock_app(p_exclusive boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_exclusive THEN
        PERFORM pg_advisory_xact_lock('{schema}.live'::regclass::oid::bigint);
    ELSE
        PERFORM pg_advisory_xact_lock_shared('{schema}.live'::regclass::oid::bigint);
    END IF;
END
$$;

-- Orders those that go to sleep (exclusive) after the submissions that are under way (shared).
CREATE FUNCTION {api}.lock_sleepers(p_exclusive boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_exclusive THEN
        PERFORM pg_advisory_xact_lock('{schema}.session'::regclass::oid::bigint);
    ELSE
        PERFORM pg_advisory_xact_lock_shared('{schema}.session'::regclass::oid::bigint);
    END IF;
END
$$;

-- Orders those that begin to watch (exclusive) after the ends that are under way (shared): either the end sees the
-- watcher, or the watcher sees the outcome.
CREATE FUNCTION {api}.lock_watchers(p_exclusive boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_exclusive THEN
        PERFORM pg_advisory_xact_lock('{schema}.watch'::regclass::oid::bigint);
    ELSE
        PERFORM pg_advisory_xact_lock_shared('{schema}.watch'::regclass::oid::bigint);
    END IF;
END
$$;

CREATE FUNCTION {api}.id_text(p_id bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(p_id) = 16 THEN encode(p_id, 'hex')::uuid::text ELSE encode(p_id, 'hex') END
$$;

-- Ids laid end to end, apart again, each once, in order.
CREATE FUNCTION {api}.split_ids(p_ids bytea) RETURNS bytea[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(id ORDER BY place), '{}') FROM (
        SELECT substring(p_ids FROM place FOR 16) AS id, min(place) AS place
        FROM generate_series(1, length(p_ids), 16) AS place GROUP BY 1
    ) AS ids
$$;

CREATE FUNCTION {api}.serves(p_queues text[], p_queue text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN cardinality(p_queues) = 0 THEN position(':' IN p_queue) = 0 ELSE p_queue = ANY (p_queues) END
$$;

-- --- waking ---

CREATE FUNCTION {api}.ring(p_session bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_bell text;
BEGIN
    SELECT bell INTO v_bell FROM {schema}.session WHERE number = p_session AND ended_at IS NULL;
    IF v_bell LIKE '%/%' THEN
        PERFORM pg_notify(split_part(v_bell, '/', 1), split_part(v_bell, '/', 2));
    END IF;
END
$$;

-- Wake up to `p_number` sleepers that serve the queue; NULL: any one, for an earlier timer.
CREATE FUNCTION {api}.wake(p_queue text, p_number bigint DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(split_part(bell, '/', 1), split_part(bell, '/', 2)) FROM {api}.take_sleepers(p_queue, p_number)
        AS bell
    WHERE bell LIKE '%/%';
END
$$;

-- Take up to `p_number` sleepers that serve the queue out of their sleep; return their bells. Those that another one
-- wakes at this moment are passed over.
CREATE FUNCTION {api}.take_sleepers(p_queue text, p_number bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY DELETE FROM {schema}.sleeper WHERE number = ANY (ARRAY(
        SELECT number FROM {schema}.sleeper WHERE p_queue IS NULL OR {api}.serves(queues, p_queue)
        ORDER BY number LIMIT p_number FOR UPDATE SKIP LOCKED
    )) RETURNING bell;
END
$$;

-- The earliest timer of any invocation or gate.
CREATE FUNCTION {api}.first_due() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN least((
        SELECT due FROM {schema}.live WHERE due IS NOT NULL ORDER BY due LIMIT 1
    ), (
        SELECT due FROM {schema}.gate_timer ORDER BY due LIMIT 1
    ));
END
$$;

-- Wake somebody if the earliest timer has become an earlier one.
CREATE FUNCTION {api}.wake_for_timer(p_before bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_first bigint := {api}.first_due();
BEGIN
    IF v_first IS NOT NULL AND (p_before IS NULL OR v_first < p_before) THEN
        PERFORM {api}.wake(NULL);
    END IF;
END
$$;

-- How long until the earliest timer or end of a lease; NULL without any.
CREATE FUNCTION {api}.next_due(p_now bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_first bigint := least({api}.first_due(), (
        SELECT expires_at FROM {schema}.session WHERE ended_at IS NULL ORDER BY expires_at LIMIT 1
    ));
BEGIN
    RETURN CASE WHEN v_first > p_now THEN v_first - p_now WHEN v_first IS NOT NULL THEN 0 END;
END
$$;

-- Prolong a session's lease and take it out of its sleep. A lease of which less than a 32nd has passed stays as it is: a
-- busy session would rewrite its row and the index of leases hundreds of times a second. With the time of tests it is
-- always prolonged. Returns where claims of the session begin; see `claim_new`.
CREATE FUNCTION {api}.renew(
    p_now bigint, p_session bigint, p_always boolean, OUT low bigint, OUT low_until bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_expires bigint;
    v_lease bigint;
BEGIN
    SELECT s.expires_at, s.lease, CASE WHEN s.low_until > p_now THEN s.low ELSE 0 END, s.low_until
    INTO v_expires, v_lease, low, low_until FROM {schema}.session s
    WHERE s.number = p_session AND s.ended_at IS NULL;
    IF NOT FOUND THEN
        -- A sealed store has no live session: this is where all their operations end.
        PERFORM FROM {api}.seal;
        RAISE EXCEPTION USING ERRCODE = 'PN001', MESSAGE = p_session::text;
    END IF;
    IF p_always OR v_expires < p_now + v_lease - v_lease / 32 THEN
        UPDATE {schema}.session SET expires_at = p_now + lease WHERE number = p_session;
    END IF;
    DELETE FROM {schema}.sleeper WHERE number = p_session;
END
$$;
