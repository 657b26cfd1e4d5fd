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
    FROM unnest(p_ids) WITH ORDINALITY AS wanted (id, place)
    CROSS JOIN LATERAL (SELECT * FROM {schema}.outcome WHERE id = wanted.id OFFSET 0) AS o
    ORDER BY wanted.place
$$;

CREATE FUNCTION {api}.claim_rows(p_ids bytea[]) RETURNS SETOF {api}.reply LANGUAGE sql STABLE AS $$
    SELECT 1::smallint, 0, l.id, c.task_id, l.queue, c.arguments, c.policy, c.meta, c.parent, c.root,
        l.epoch, l.attempt::bigint, l.crashes::bigint, l.rank, l.cancel_requested::integer::bigint,
        NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint
    FROM unnest(p_ids) WITH ORDINALITY AS wanted (id, place)
    CROSS JOIN LATERAL (SELECT * FROM {schema}.live WHERE id = wanted.id OFFSET 0) AS l
    CROSS JOIN LATERAL (SELECT * FROM {schema}.call WHERE id = wanted.id OFFSET 0) AS c
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
        claimed_at = p_now, started_at = NULL, lane = NULL
    WHERE id = ANY (p_ids);
END
$$;

-- The first `p_want` READY invocations of the queues by (rank, id) from a rank on, locked; what others have locked is
-- passed over. Returns those that should have started before now as well, whether any has a key, and the last rank.
CREATE FUNCTION {api}.first_ready(
    p_now bigint, p_queues text[], p_low bigint, p_want integer,
    OUT ids bytea[], OUT late bytea[], OUT keyed boolean, OUT last bigint
) LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_queues) = 1 THEN
        SELECT array_agg(h.id), array_agg(h.id) FILTER (WHERE h.expires_at <= p_now), bool_or(h.key IS NOT NULL),
            max(h.rank)
        INTO ids, late, keyed, last FROM (
            SELECT l.id, l.rank, l.expires_at, l.key FROM {schema}.live l
            WHERE l.queue = p_queues[1] AND l.rank >= p_low AND l.state = 1 AND l.owner IS NULL AND l.lane IS NULL
            ORDER BY l.queue, l.rank, l.id LIMIT p_want FOR UPDATE SKIP LOCKED
        ) AS h;
    ELSE
        SELECT array_agg(h.id), array_agg(h.id) FILTER (WHERE h.expires_at <= p_now), bool_or(h.key IS NOT NULL),
            max(h.rank)
        INTO ids, late, keyed, last FROM (
            SELECT head.* FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
                SELECT l.id, l.rank, l.expires_at, l.key FROM {schema}.live l
                WHERE l.queue = q.name AND l.rank >= p_low AND l.state = 1 AND l.owner IS NULL AND l.lane IS NULL
                ORDER BY l.queue, l.rank, l.id LIMIT p_want FOR UPDATE SKIP LOCKED
            ) AS head ORDER BY head.rank, head.id LIMIT p_want
        ) AS h;
    END IF;
    ids := coalesce(ids, '{}');
    late := coalesce(late, '{}');
END
$$;

-- Whether somebody waits for an invocation or comes after it, or it is a child.
CREATE FUNCTION {api}.is_awaited(p_id bytea) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM {schema}.call WHERE id = p_id AND parent IS NOT NULL)
        OR EXISTS (SELECT FROM {schema}.wait WHERE waited = p_id);
END
$$;

-- `first_ready` among those of a lower rank than `p_before`, perhaps only among awaited ones.
CREATE FUNCTION {api}.first_needed(
    p_now bigint, p_queues text[], p_before bigint, p_awaited boolean, p_want integer,
    OUT ids bytea[], OUT late bytea[], OUT keyed boolean, OUT last bigint
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT array_agg(h.id), array_agg(h.id) FILTER (WHERE h.expires_at <= p_now), bool_or(h.key IS NOT NULL), max(h.rank)
    INTO ids, late, keyed, last FROM (
        SELECT head.* FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
            SELECT l.id, l.rank, l.expires_at, l.key FROM {schema}.live l
            WHERE l.queue = q.name AND l.rank < p_before AND l.state = 1 AND l.owner IS NULL AND l.lane IS NULL
                AND (NOT p_awaited OR {api}.is_awaited(l.id))
            ORDER BY l.queue, l.rank, l.id LIMIT p_want FOR UPDATE SKIP LOCKED
        ) AS head ORDER BY head.rank, head.id LIMIT p_want
    ) AS h;
    ids := coalesce(ids, '{}');
    late := coalesce(late, '{}');
END
$$;

-- The queues to claim from: those asked for, or all of Python's, without the paused ones.
CREATE FUNCTION {api}.open_queues(p_queues text[]) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(SELECT name FROM {schema}.queue WHERE used AND NOT paused AND {api}.serves(p_queues, name));
END
$$;

-- Claim up to `p_want` invocations from a rank on, or only those that rank before one (`p_before`) or may be needed by
-- somebody (`p_awaited`); what should have started before now ends instead, which takes the exclusive lock, and so does
-- what has gates (`p_gated`: there may be some). Returns as well how many closed gates it met.
--
-- A busy queue leaves an ever longer prefix of dead rows in its index until the next vacuum. So for a quarter of a second
-- (`p_until`) after a full claim the session goes on where it ended: what comes to be ready before that place waits no
-- longer than this. With the time of tests there is no such shortcut.
CREATE FUNCTION {api}.claim_new(
    p_now bigint, p_exclusive boolean, p_session bigint, p_queues text[], p_before bigint, p_awaited boolean,
    p_want integer, p_low bigint, p_until bigint, p_gated boolean, OUT taken bytea[], OUT looked integer
) LANGUAGE plpgsql AS $$
DECLARE
    v_queues text[];
    v_limited boolean := p_before IS NOT NULL OR p_awaited;
    v_low bigint := p_low;
    v_until bigint := p_until;
    v_missing integer := p_want;
    v_found record;
    v_id bytea;
BEGIN
    taken := '{}';
    looked := 0;
    IF p_want <= 0 THEN
        RETURN;
    END IF;
    v_queues := {api}.open_queues(p_queues);
    IF p_gated AND {api}.has_tokens(v_queues, p_awaited) THEN
        IF NOT p_exclusive THEN
            RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'gates';
        END IF;
        SELECT g.taken, g.looked INTO taken, looked
        FROM {api}.claim_gated(p_now, p_session, v_queues, p_before, p_awaited, p_want) AS g;
        RETURN;
    END IF;
    LOOP
        IF v_limited THEN
            v_found := {api}.first_needed(
                p_now, v_queues, coalesce(p_before, 9223372036854775807), p_awaited, v_missing);
        ELSE
            v_found := {api}.first_ready(p_now, v_queues, v_low, v_missing);
        END IF;
        IF NOT v_limited AND v_low > 0 AND cardinality(v_found.ids) < v_missing THEN
            v_low := 0;
            v_until := 0;
            v_found := {api}.first_ready(p_now, v_queues, 0, v_missing);
        END IF;
        EXIT WHEN cardinality(v_found.ids) = 0;
        IF cardinality(v_found.late) > 0 THEN
            IF NOT p_exclusive THEN
                RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'some have expired';
            END IF;
            FOREACH v_id IN ARRAY v_found.late LOOP
                PERFORM {api}.expire(p_now, v_id);
            END LOOP;
            v_found.ids := ARRAY(SELECT id FROM unnest(v_found.ids) AS id WHERE id <> ALL (v_found.late));
        END IF;
        PERFORM {api}.take(p_now, p_session, v_found.ids, v_found.keyed);
        taken := taken || v_found.ids;
        v_missing := p_want - cardinality(taken);
        EXIT WHEN v_missing <= 0 OR cardinality(v_found.late) = 0;
    END LOOP;
    IF v_missing = 0 AND p_want >= 8 AND NOT p_exclusive AND NOT v_limited THEN
        UPDATE {schema}.session SET low = v_found.last,
            low_until = CASE WHEN v_until > p_now THEN v_until ELSE p_now + 250000 END
        WHERE number = p_session;
    END IF;
END
$$;

-- claim_ids: claim these invocations if they are READY without an owner, in one of the queues ({} for all of Python's).
-- Exclusive.
-- Reply: verdicts (n1: 0 claimed, 1 busy, 2 not ready, 3 final, 4 unknown) and claims, in order; once `p_most` are claimed
-- it looks no further.
CREATE FUNCTION {api}.claim_ids(p_now bigint, p_session bigint, p_ids bytea[], p_queues text[], p_most integer)
RETURNS SETOF {api}.reply LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
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
    PERFORM {api}.renew(v_now, p_session, p_now IS NOT NULL);
    v_reply.what := 0;
    FOREACH v_id IN ARRAY p_ids LOOP
        EXIT WHEN cardinality(v_taken) >= p_most;
        SELECT * INTO r FROM {schema}.live WHERE id = v_id;
        IF NOT FOUND THEN
            v_reply.n1 := CASE WHEN EXISTS (SELECT FROM {schema}.outcome WHERE id = v_id) THEN 3 ELSE 4 END;
        ELSIF r.owner IS NOT NULL THEN
            v_reply.n1 := 1;
        ELSIF r.state <> 1 OR NOT {api}.serves(p_queues, r.queue)
            OR (SELECT paused FROM {schema}.queue WHERE name = r.queue) THEN
            v_reply.n1 := 2;
        ELSIF r.expires_at <= v_now THEN
            PERFORM {api}.expire(v_now, v_id);
            v_reply.n1 := 3;
        ELSIF r.lane IS NOT NULL THEN
            v_reply.n1 := {api}.claim_member(v_now, p_session, r);
            IF v_reply.n1 = 0 THEN
                v_taken := array_append(v_taken, v_id);
            END IF;
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
