-- Submissions with gates, all at once.

-- Whether somebody above waits inside a gate, so that what is submitted below may pass on its unit.
CREATE FUNCTION {api}.may_borrow(p_parent bytea) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_above bytea := p_parent;
    c record;
BEGIN
    FOR i IN 1 .. 32 LOOP
        EXIT WHEN v_above IS NULL;
        SELECT parent, gates INTO c FROM {schema}.call WHERE id = v_above;
        EXIT WHEN NOT FOUND;
        IF c.gates IS NOT NULL AND EXISTS (SELECT FROM unnest(c.gates) AS g WHERE g.hold) THEN
            RETURN true;
        END IF;
        v_above := c.parent;
    END LOOP;
    RETURN false;
END
$$;

-- submit_gated: as `submit_plain`, but any of them may have gates. None has a flow. Exclusive.
-- Reply: as `submit_plain`. PN002 if they have to be looked at one by one, with nothing applied.
CREATE FUNCTION {api}.submit_gated(
    p_now bigint, p_parent bytea, p_session bigint, p_epoch bigint,
    p_ids bytea[], p_tasks text[], p_queues text[], p_languages text[], p_arguments bytea[], p_policies bytea[],
    p_metas bytea[], p_bands integer[], p_keys bigint[], p_delays bigint[], p_expires bigint[], p_retentions bigint[],
    p_max_crashes integer[], p_gates text[], p_lanes bytea[]
) RETURNS SETOF bytea LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
    v_root bytea;
    v_before bigint;
    v_fresh bytea[];
    v_ahead text[];
    v_queue text;
    v_number bigint;
BEGIN
    PERFORM {api}.lock_app(true);
    v_now := {api}.clock(p_now);
    IF p_session IS NOT NULL AND NOT {api}.holds_fence(p_parent, p_session, p_epoch) THEN
        PERFORM FROM {api}.seal;
        RETURN NEXT NULL::bytea;
        RETURN QUERY SELECT id FROM {schema}.call WHERE id = ANY (p_ids);
        RETURN;
    END IF;
    IF p_parent IS NOT NULL THEN
        IF {api}.may_borrow(p_parent) THEN
            RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'units may be borrowed';
        END IF;
        v_root := coalesce((SELECT root FROM {schema}.call WHERE id = p_parent), p_parent);
    END IF;
    v_before := {api}.first_due();
    p_delays := {api}.delays_from(v_now, p_delays);
    WITH item AS (
        SELECT * FROM unnest(p_ids, p_tasks, p_queues, p_languages, p_arguments, p_policies, p_metas, p_bands, p_keys,
            p_delays, p_expires, p_retentions, p_max_crashes, p_gates, p_lanes) WITH ORDINALITY AS i (id, task_id, queue,
            language, arguments, policy, meta, band, key, delay, expires, retention, max_crashes, gates, lane, place)
    ), fresh AS (
        INSERT INTO {schema}.call
        SELECT id, task_id, queue, language, arguments, policy, meta, p_parent, coalesce(v_root, id), v_now,
            gates::{schema}.gate[], NULL, NULL, lane
        FROM item ORDER BY place
        ON CONFLICT (id) DO NOTHING RETURNING call.id
    ), named AS (
        INSERT INTO {schema}.queue (name, used) SELECT DISTINCT queue, true FROM item JOIN fresh USING (id)
        WHERE NOT EXISTS (SELECT FROM {schema}.queue known WHERE known.name = item.queue AND known.used)
        ON CONFLICT (name) DO UPDATE SET used = true
    ), ranked AS MATERIALIZED (
        SELECT ordered.*, (band::bigint << 44) + {api}.order_key(key) AS rank
        FROM (SELECT item.* FROM item JOIN fresh USING (id) ORDER BY place) AS ordered
    ), placed AS (
        INSERT INTO {schema}.live (id, queue, rank, registered_at, retention, max_crashes, state, reason, not_before,
            expires_at, flags, lane)
        SELECT id, queue, rank, v_now, retention, max_crashes, CASE WHEN delay > 0 THEN 0 ELSE 1 END,
            CASE WHEN delay > 0 THEN 1 ELSE 0 END, CASE WHEN delay > 0 THEN v_now + delay END, v_now + expires,
            CASE WHEN lane IS NULL THEN 0 ELSE 2 END, CASE WHEN delay <= 0 THEN lane END
        FROM ranked
    ), headed AS (
        INSERT INTO {schema}.lane AS known (key, queue, rank, first)
        SELECT DISTINCT ON (lane) lane, queue, rank, id FROM ranked WHERE delay <= 0 AND lane IS NOT NULL
        ORDER BY lane, rank, id
        ON CONFLICT (key) DO UPDATE SET rank = excluded.rank, first = excluded.first
        WHERE (excluded.rank, excluded.first) < (known.rank, known.first)
        RETURNING parked
    )
    SELECT array_agg(id), (SELECT array_agg(parked) FROM headed WHERE parked IS NOT NULL) INTO v_fresh, v_ahead FROM fresh;
    IF cardinality(v_ahead) > 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'several come before what waits for a gate';
    END IF;
    RETURN QUERY SELECT unnest(v_fresh);
    IF NOT EXISTS (SELECT FROM {schema}.meta WHERE name = 'gates') THEN
        INSERT INTO {schema}.meta VALUES ('gates', 'used');
    END IF;
    IF v_ahead IS NOT NULL THEN
        PERFORM {api}.activate(v_now, v_ahead[1]);
    END IF;
    IF EXISTS (SELECT FROM {schema}.sleeper) THEN
        FOR v_queue, v_number IN
            SELECT i.queue, count(*) FROM unnest(p_queues, p_delays, p_lanes) AS i (queue, delay, lane)
            WHERE i.delay <= 0 AND {api}.parked_before(i.lane) IS NULL GROUP BY i.queue
        LOOP
            PERFORM {api}.wake(v_queue, v_number);
        END LOOP;
        PERFORM {api}.wake_for_timer(v_before);
    END IF;
END
$$;
