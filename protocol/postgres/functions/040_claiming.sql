-- Claims: who gets the next invocation.

-- One row of a reply. `what` says which: 0 verdict, 1 claim, 2 resumed, 3 outcome of verdict or resumed number `place`,
-- 4 message, 5 the end.
CREATE TYPE {api}.reply AS (
    what smallint, place integer, id bytea, t1 text, t2 text, b1 bytea, b2 bytea, b3 bytea, b4 bytea, b5 bytea,
    n1 bigint, n2 bigint, n3 bigint, n4 bigint, n5 bigint, n6 bigint, n7 bigint, n8 bigint, n9 bigint, n10 bigint
);

CREATE FUNCTION {api}.outcome_rows(p_place integer, p_ids bytea[]) RETURNS SETOF {api}.reply
LANGUAGE sql STABLE AS $$
    SELECT 3::smallint, p_place, o.id, o.status, o.reason, o.payload, NULL::bytea, NULL::bytea, NULL::bytea,
        NULL::bytea, o.attempt::bigint, o.crashes::bigint, o.epoch, o.session, o.worker, o.registered_at,
        o.claimed_at, o.started_at, o.ended_at, o.expires_at
    FROM unnest(p_ids) WITH ORDINALITY AS wanted (id, place) JOIN {schema}.outcome o ON o.id = wanted.id
    ORDER BY wanted.place
$$;

CREATE FUNCTION {api}.claim_rows(p_ids bytea[]) RETURNS SETOF {api}.reply LANGUAGE sql STABLE AS $$
    SELECT 1::smallint, 0, l.id, c.task_id, l.queue, c.arguments, c.policy, c.meta, c.parent, c.root,
        l.epoch, l.attempt::bigint, l.crashes::bigint, l.rank, l.cancel_requested::integer::bigint,
        NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint
    FROM unnest(p_ids) WITH ORDINALITY AS wanted (id, place)
    JOIN {schema}.live l ON l.id = wanted.id JOIN {schema}.call c ON c.id = wanted.id
    ORDER BY wanted.place
$$;

-- Make a session the owner of these READY invocations; `p_keyed`: some may hold a key only until now.
CREATE FUNCTION {api}.take(p_now bigint, p_session bigint, p_ids bytea[], p_keyed boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF p_keyed THEN
        DELETE FROM {schema}.dedupe d USING {schema}.live l
        WHERE l.id = ANY (p_ids) AND l.key IS NOT NULL AND l.key_phase = 0 AND d.key = l.key AND d.id = l.id;
    END IF;
    UPDATE {schema}.live SET state = 2, owner = p_session, worker = 0, epoch = epoch + 1, attempt = attempt + 1,
        claimed_at = p_now, started_at = NULL
    WHERE id = ANY (p_ids);
END
$$;

-- The first `p_want` READY invocations of the queues by (rank, id) from a rank on, locked; what others have locked is
-- passed over.
CREATE FUNCTION {api}.first_ready(p_queues text[], p_low bigint, p_want integer) RETURNS bytea[]
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_queues) = 1 THEN
        RETURN ARRAY(
            SELECT id FROM {schema}.live
            WHERE queue = p_queues[1] AND rank >= p_low AND state = 1 AND owner IS NULL
            ORDER BY queue, rank, id LIMIT p_want FOR UPDATE SKIP LOCKED
        );
    END IF;
    RETURN ARRAY(
        SELECT id FROM (
            SELECT head.id, head.rank FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
                SELECT id, rank FROM {schema}.live
                WHERE queue = q.name AND rank >= p_low AND state = 1 AND owner IS NULL
                ORDER BY queue, rank, id LIMIT p_want FOR UPDATE SKIP LOCKED
            ) AS head
        ) AS heads ORDER BY rank, id LIMIT p_want
    );
END
$$;

-- The queues to claim from: those asked for, or all of Python's, without the paused ones.
CREATE FUNCTION {api}.open_queues(p_queues text[]) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT name FROM {schema}.queue WHERE used AND NOT paused AND {api}.serves(p_queues, name))
$$;

-- Claim up to `p_want` invocations; what should have started before now ends instead, which takes the exclusive lock.
--
-- A busy queue leaves an ever longer prefix of dead rows in its index until the next vacuum. So for a quarter of a second
-- after a full claim the session goes on where it ended: what comes to be ready before that place waits no longer than
-- this. With the time of tests there is no such shortcut.
CREATE FUNCTION {api}.claim_new(p_now bigint, p_exclusive boolean, p_session bigint, p_queues text[], p_want integer)
RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
    v_queues text[];
    v_taken bytea[] := '{}';
    v_found bytea[];
    v_late bytea[];
    v_keyed boolean;
    v_id bytea;
    v_low bigint;
    v_until bigint;
BEGIN
    IF p_want <= 0 THEN
        RETURN v_taken;
    END IF;
    v_queues := {api}.open_queues(p_queues);
    SELECT CASE WHEN low_until > p_now THEN low ELSE 0 END, low_until INTO v_low, v_until
    FROM {schema}.session WHERE number = p_session;
    LOOP
        v_found := {api}.first_ready(v_queues, v_low, p_want - cardinality(v_taken));
        IF v_low > 0 AND cardinality(v_found) < p_want - cardinality(v_taken) THEN
            v_low := 0;
            v_until := 0;
            v_found := {api}.first_ready(v_queues, 0, p_want - cardinality(v_taken));
        END IF;
        EXIT WHEN cardinality(v_found) = 0;
        SELECT coalesce(array_agg(l.id) FILTER (WHERE l.expires_at <= p_now), '{}'), bool_or(l.key IS NOT NULL)
        INTO v_late, v_keyed FROM {schema}.live l WHERE l.id = ANY (v_found);
        IF cardinality(v_late) > 0 THEN
            IF NOT p_exclusive THEN
                RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'some have expired';
            END IF;
            FOREACH v_id IN ARRAY v_found LOOP
                IF v_id = ANY (v_late) THEN
                    PERFORM {api}.expire(p_now, v_id);
                ELSE
                    v_taken := array_append(v_taken, v_id);
                END IF;
            END LOOP;
            v_found := ARRAY(SELECT id FROM unnest(v_found) AS id WHERE id <> ALL (v_late));
        ELSE
            v_taken := v_taken || v_found;
        END IF;
        PERFORM {api}.take(p_now, p_session, v_found, v_keyed);
        EXIT WHEN cardinality(v_taken) >= p_want OR cardinality(v_late) = 0;
    END LOOP;
    IF cardinality(v_taken) = p_want AND p_want >= 8 AND NOT p_exclusive THEN
        UPDATE {schema}.session SET low = (SELECT rank FROM {schema}.live WHERE id = v_taken[p_want]),
            low_until = CASE WHEN v_until > p_now THEN v_until ELSE p_now + 250000 END
        WHERE number = p_session;
    END IF;
    RETURN v_taken;
END
$$;

-- claim_ids: claim these invocations if they are READY without an owner. Exclusive.
-- Reply: verdicts (n1: 0 claimed, 1 busy, 2 not ready, 3 final, 4 unknown) and claims, in order.
CREATE FUNCTION {api}.claim_ids(p_now bigint, p_session bigint, p_ids bytea[]) RETURNS SETOF {api}.reply
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
    r {schema}.live%ROWTYPE;
    v_reply {api}.reply;
    v_taken bytea[] := '{}';
    v_id bytea;
BEGIN
    PERFORM {api}.lock_app(true);
    v_now := {api}.clock(p_now);
    PERFORM {api}.renew(v_now, p_session);
    v_reply.what := 0;
    FOREACH v_id IN ARRAY p_ids LOOP
        SELECT * INTO r FROM {schema}.live WHERE id = v_id;
        IF NOT FOUND THEN
            v_reply.n1 := CASE WHEN EXISTS (SELECT FROM {schema}.outcome WHERE id = v_id) THEN 3 ELSE 4 END;
        ELSIF r.owner IS NOT NULL THEN
            v_reply.n1 := 1;
        ELSIF r.state <> 1 OR (SELECT paused FROM {schema}.queue WHERE name = r.queue) THEN
            v_reply.n1 := 2;
        ELSIF r.expires_at <= v_now THEN
            PERFORM {api}.expire(v_now, v_id);
            v_reply.n1 := 3;
        ELSE
            PERFORM {api}.take(v_now, p_session, ARRAY[v_id], true);
            v_taken := array_append(v_taken, v_id);
            v_reply.n1 := 0;
        END IF;
        RETURN NEXT v_reply;
    END LOOP;
    RETURN QUERY SELECT * FROM {api}.claim_rows(v_taken);
END
$$;
