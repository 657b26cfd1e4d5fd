-- submit: create invocations. Idempotent by id.

-- The order within the band; without one of its own (NULL, or -1 for newest first) it follows from the sequence.
CREATE FUNCTION {api}.order_key(p_key bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT CASE WHEN p_key IS NULL THEN nextval('{schema}.rank_sequence')
        WHEN p_key = -1 THEN (1::bigint << 44) - 1 - nextval('{schema}.rank_sequence') ELSE p_key END
$$;

-- How long to wait from now on: a delay, or below zero the instant of the start.
CREATE FUNCTION {api}.delay_from(p_now bigint, p_delay bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_delay < 0 THEN greatest(0, -p_delay - p_now) ELSE p_delay END
$$;

CREATE FUNCTION {api}.delays_from(p_now bigint, p_delays bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT {api}.delay_from(p_now, delay) FROM unnest(p_delays) WITH ORDINALITY AS d (delay, place)
                 ORDER BY place)
$$;

-- Write plain submissions of one parent; return the ids that were new. Nothing of what these statements join is large.
CREATE FUNCTION {api}.place_plain(
    p_now bigint, p_parent bytea, p_root bytea,
    p_ids bytea[], p_tasks text[], p_queues text[], p_languages text[], p_arguments bytea[], p_policies bytea[],
    p_metas bytea[], p_bands integer[], p_keys bigint[], p_delays bigint[], p_expires bigint[], p_retentions bigint[],
    p_max_crashes integer[]
) RETURNS SETOF bytea LANGUAGE plpgsql SET enable_hashjoin = on AS $$
BEGIN
    RETURN QUERY
    WITH item AS (
        SELECT * FROM unnest(p_ids, p_tasks, p_queues, p_languages, p_arguments, p_policies, p_metas, p_bands, p_keys,
            p_delays, p_expires, p_retentions, p_max_crashes) WITH ORDINALITY AS i (id, task_id, queue, language,
            arguments, policy, meta, band, key, delay, expires, retention, max_crashes, place)
    ), fresh AS (
        INSERT INTO {schema}.call
        SELECT id, task_id, queue, language, arguments, policy, meta, p_parent, coalesce(p_root, id), p_now
        FROM item ORDER BY place
        ON CONFLICT (id) DO NOTHING RETURNING call.id
    ), named AS (
        INSERT INTO {schema}.queue (name, used) SELECT DISTINCT queue, true FROM item JOIN fresh USING (id)
        WHERE NOT EXISTS (SELECT FROM {schema}.queue known WHERE known.name = item.queue AND known.used)
        ON CONFLICT (name) DO UPDATE SET used = true
    ), placed AS (
        INSERT INTO {schema}.live (id, queue, rank, registered_at, retention, max_crashes, state, reason, not_before,
            expires_at)
        SELECT id, queue, (band::bigint << 44) + {api}.order_key(key), p_now, retention,
            max_crashes, CASE WHEN delay > 0 THEN 0 ELSE 1 END, CASE WHEN delay > 0 THEN 1 ELSE 0 END,
            CASE WHEN delay > 0 THEN p_now + delay END, p_now + expires
        FROM (SELECT item.* FROM item JOIN fresh USING (id) ORDER BY place) AS ordered
    )
    SELECT id FROM fresh;
END
$$;

-- Write plain submissions that are alike but for id and arguments; return the ids that were new.
CREATE FUNCTION {api}.place_alike(
    p_now bigint, p_parent bytea, p_root bytea, p_ids bytea[], p_arguments bytea[],
    p_task text, p_queue text, p_language text, p_policy bytea, p_meta bytea, p_band integer, p_delay bigint,
    p_expires bigint, p_retention bigint, p_max_crashes integer
) RETURNS SETOF bytea LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH fresh AS (
        INSERT INTO {schema}.call
        SELECT id, p_task, p_queue, p_language, arguments, p_policy, p_meta, p_parent, coalesce(p_root, id), p_now
        FROM unnest(p_ids, p_arguments) WITH ORDINALITY AS i (id, arguments, place) ORDER BY place
        ON CONFLICT (id) DO NOTHING RETURNING call.id
    ), placed AS (
        -- In the order in which they were written, which is that of the call.
        INSERT INTO {schema}.live (id, queue, rank, registered_at, retention, max_crashes, state, reason, not_before,
            expires_at)
        SELECT id, p_queue, (p_band::bigint << 44) + nextval('{schema}.rank_sequence'), p_now, p_retention,
            p_max_crashes, CASE WHEN p_delay > 0 THEN 0 ELSE 1 END, CASE WHEN p_delay > 0 THEN 1 ELSE 0 END,
            CASE WHEN p_delay > 0 THEN p_now + p_delay END, p_now + p_expires
        FROM fresh
    )
    SELECT id FROM fresh;
    IF FOUND AND NOT EXISTS (SELECT FROM {schema}.queue WHERE name = p_queue AND used) THEN
        INSERT INTO {schema}.queue (name, used) VALUES (p_queue, true) ON CONFLICT (name) DO UPDATE SET used = true;
    END IF;
END
$$;

-- Whether the parent of these submissions is still owned under its fence; it stays so until the transaction ends.
CREATE FUNCTION {api}.holds_fence(p_parent bytea, p_session bigint, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM {schema}.live WHERE id = p_parent AND owner + 0 = p_session AND epoch = p_epoch FOR SHARE;
    RETURN FOUND;
END
$$;

-- submit_alike: plain submissions of one task: a single one, or many that differ in id and arguments only.
-- Reply: as `submit_plain`.
CREATE FUNCTION {api}.submit_alike(
    p_now bigint, p_parent bytea, p_session bigint, p_epoch bigint, p_ids bytea[], p_arguments bytea[],
    p_task text, p_queue text, p_language text, p_policy bytea, p_meta bytea, p_band integer, p_delay bigint,
    p_expires bigint, p_retention bigint, p_max_crashes integer
) RETURNS SETOF bytea LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
    v_root bytea;
    v_before bigint;
BEGIN
    PERFORM {api}.lock_app(false);
    v_now := {api}.clock(p_now);
    p_delay := {api}.delay_from(v_now, p_delay);
    IF p_session IS NOT NULL AND NOT {api}.holds_fence(p_parent, p_session, p_epoch) THEN
        PERFORM FROM {api}.seal;
        RETURN NEXT NULL::bytea;
        RETURN QUERY SELECT id FROM {schema}.call WHERE id = ANY (p_ids);
        RETURN;
    END IF;
    PERFORM {api}.lock_sleepers(false);
    IF p_parent IS NOT NULL THEN
        v_root := coalesce((SELECT root FROM {schema}.call WHERE id = p_parent), p_parent);
    END IF;
    IF p_delay > 0 OR p_expires IS NOT NULL THEN
        v_before := {api}.first_due();
    END IF;
    RETURN QUERY SELECT * FROM {api}.place_alike(v_now, p_parent, v_root, p_ids, p_arguments, p_task, p_queue,
        p_language, p_policy, p_meta, p_band, p_delay, p_expires, p_retention, p_max_crashes);
    IF EXISTS (SELECT FROM {schema}.sleeper) THEN
        IF p_delay <= 0 THEN
            PERFORM {api}.wake(p_queue, cardinality(p_ids));
        END IF;
        IF p_delay > 0 OR p_expires IS NOT NULL THEN
            PERFORM {api}.wake_for_timer(v_before);
        END IF;
    END IF;
END
$$;

-- Plain: none comes after others, none has a key, ids are distinct, all have the same parent and fence.
-- Reply: the ids that were created; the others exist already. If the parent's fence is superseded, NULL and then those
-- that exist already.
CREATE FUNCTION {api}.submit_plain(
    p_now bigint, p_parent bytea, p_session bigint, p_epoch bigint,
    p_ids bytea[], p_tasks text[], p_queues text[], p_languages text[], p_arguments bytea[], p_policies bytea[],
    p_metas bytea[], p_bands integer[], p_keys bigint[], p_delays bigint[], p_expires bigint[], p_retentions bigint[],
    p_max_crashes integer[]
) RETURNS SETOF bytea LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
    v_root bytea;
    v_before bigint;
    v_timed boolean := EXISTS (SELECT FROM unnest(p_delays, p_expires) AS t (delay, expires)
                               WHERE delay <> 0 OR expires IS NOT NULL);
    v_queue text;
    v_number bigint;
BEGIN
    PERFORM {api}.lock_app(false);
    v_now := {api}.clock(p_now);
    IF p_session IS NOT NULL AND NOT {api}.holds_fence(p_parent, p_session, p_epoch) THEN
        PERFORM FROM {api}.seal;
        RETURN NEXT NULL::bytea;
        RETURN QUERY SELECT id FROM {schema}.call WHERE id = ANY (p_ids);
        RETURN;
    END IF;
    PERFORM {api}.lock_sleepers(false);
    IF p_parent IS NOT NULL THEN
        v_root := coalesce((SELECT root FROM {schema}.call WHERE id = p_parent), p_parent);
    END IF;
    IF v_timed THEN
        p_delays := {api}.delays_from(v_now, p_delays);
        v_before := {api}.first_due();
    END IF;
    RETURN QUERY SELECT * FROM {api}.place_plain(v_now, p_parent, v_root, p_ids, p_tasks, p_queues, p_languages, p_arguments, p_policies, p_metas,
        p_bands, p_keys, p_delays, p_expires, p_retentions, p_max_crashes);
    IF EXISTS (SELECT FROM {schema}.sleeper) THEN
        FOR v_queue, v_number IN
            SELECT queue, count(*) FROM unnest(p_queues, p_delays) AS i (queue, delay) WHERE delay <= 0 GROUP BY queue
        LOOP
            PERFORM {api}.wake(v_queue, v_number);
        END LOOP;
        IF v_timed THEN
            PERFORM {api}.wake_for_timer(v_before);
        END IF;
    END IF;
END
$$;

-- What becomes of an item whose key is held. Modes: 0 reuse, 1 raise, 2 debounce.
CREATE FUNCTION {api}.held(
    p_now bigint, p_held {schema}.dedupe, p_mode integer, p_hash bytea, p_arguments bytea, p_delay bigint
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
    v_due bigint := CASE WHEN p_delay > 0 THEN p_now + p_delay END;
BEGIN
    IF p_mode = 1 THEN
        RETURN CASE WHEN p_held.hash = p_hash THEN 2 ELSE 5 END;
    END IF;
    SELECT * INTO r FROM {schema}.live WHERE id = p_held.id AND epoch = 0;
    IF p_mode <> 2 OR NOT FOUND THEN
        RETURN 2;
    END IF;
    UPDATE {schema}.call SET arguments = p_arguments WHERE id = r.id;
    IF r.need_left > 0 THEN
        UPDATE {schema}.live SET not_before = v_due WHERE id = r.id;
    ELSIF v_due IS NOT NULL OR r.state <> 1 THEN
        IF r.lane IS NOT NULL THEN
            PERFORM {api}.withdraw(p_now, r);
        END IF;
        UPDATE {schema}.live SET not_before = v_due, state = CASE WHEN v_due IS NULL THEN 1 ELSE 0 END,
            reason = CASE WHEN v_due IS NULL THEN 0 ELSE 1 END
        WHERE id = r.id;
        IF v_due IS NULL THEN
            PERFORM {api}.queue_up(p_now, r);
        END IF;
    END IF;
    RETURN 6;
END
$$;

-- One item of any kind; the caller holds the app's lock exclusively.
CREATE FUNCTION {api}.submit_one(
    p_now bigint, p_id bytea, p_task text, p_queue text, p_language text, p_arguments bytea, p_policy bytea,
    p_meta bytea, p_band integer, p_rank_key bigint, p_delay bigint, p_expires bigint, p_retention bigint,
    p_max_crashes integer, p_parent bytea, p_session bigint, p_epoch bigint, p_key bytea, p_phase integer,
    p_after bytea, p_after_policy integer, p_after_need integer, p_dedupe_mode integer, p_hash bytea, p_window bigint,
    p_gates {schema}.gate[], p_flow text, p_weight integer, p_lane bytea, OUT verdict integer, OUT id bytea
) LANGUAGE plpgsql AS $$
DECLARE
    v_flags integer := CASE WHEN p_lane IS NULL THEN 0 ELSE 2 END;
    v_held {schema}.dedupe%ROWTYPE;
    v_after bytea[] := {api}.split_ids(p_after);
    v_waits bytea[];
    v_counted integer;
    v_need integer;
    v_failed record;
BEGIN
    id := p_id;
    IF EXISTS (SELECT FROM {schema}.call c WHERE c.id = p_id) THEN
        verdict := 1;
        RETURN;
    END IF;
    IF p_session IS NOT NULL AND NOT EXISTS (
        SELECT FROM {schema}.live l WHERE l.id = p_parent AND l.owner = p_session AND l.epoch = p_epoch
    ) THEN
        verdict := 3;
        RETURN;
    END IF;
    SELECT a.id INTO id FROM unnest(v_after) WITH ORDINALITY AS a (id, place)
    WHERE NOT EXISTS (SELECT FROM {schema}.call c WHERE c.id = a.id) ORDER BY place LIMIT 1;
    IF FOUND THEN
        verdict := 4;
        RETURN;
    END IF;
    SELECT d.* INTO v_held FROM {schema}.dedupe d WHERE d.key = p_key AND (d.until IS NULL OR d.until > p_now);
    IF FOUND THEN
        id := v_held.id;
        verdict := {api}.held(p_now, v_held, p_dedupe_mode, p_hash, p_arguments, p_delay);
        RETURN;
    END IF;
    id := p_id;
    verdict := 0;
    INSERT INTO {schema}.queue (name, used) VALUES (p_queue, true) ON CONFLICT (name) DO UPDATE SET used = true;
    INSERT INTO {schema}.call VALUES (p_id, p_task, p_queue, p_language, p_arguments, p_policy, p_meta, p_parent,
        coalesce((SELECT c.root FROM {schema}.call c WHERE c.id = p_parent), p_parent, p_id), p_now, p_gates, p_flow,
        p_weight, p_lane);
    INSERT INTO {schema}.live (id, queue, rank, registered_at, retention, max_crashes, state, not_before, expires_at,
        key, key_phase, after_policy, flags)
    VALUES (p_id, p_queue, (p_band::bigint << 44) + {api}.order_key(p_rank_key), p_now,
        p_retention, p_max_crashes, 1, CASE WHEN p_delay > 0 THEN p_now + p_delay END, p_now + p_expires, p_key,
        p_phase, p_after_policy, v_flags);
    IF p_key IS NOT NULL THEN
        INSERT INTO {schema}.dedupe
        VALUES (p_key, p_id, p_dedupe_mode, p_hash, CASE WHEN p_phase = 4 THEN p_now + p_window END)
        ON CONFLICT (key) DO UPDATE
        SET id = excluded.id, mode = excluded.mode, hash = excluded.hash, until = excluded.until;
    END IF;
    v_waits := ARRAY(SELECT a.id FROM unnest(v_after) WITH ORDINALITY AS a (id, place)
                     JOIN {schema}.live l ON l.id = a.id ORDER BY place);
    SELECT count(*) FILTER (WHERE p_after_policy = 1 OR o.status = 'success') INTO v_counted
    FROM {schema}.outcome o WHERE o.id = ANY (v_after);
    v_need := coalesce(nullif(least(p_after_need, cardinality(v_after)), 0), cardinality(v_after)) - v_counted;
    IF v_need > cardinality(v_waits) THEN
        SELECT o.id, o.status INTO v_failed FROM unnest(v_after) WITH ORDINALITY AS a (id, place)
        JOIN {schema}.outcome o ON o.id = a.id WHERE o.status <> 'success' ORDER BY place LIMIT 1;
        UPDATE {schema}.live l SET state = 0 WHERE l.id = p_id;
        PERFORM {api}.end_run(p_now, p_id, {api}.fallen_status(p_after_policy), '',
            'dependency ' || {api}.id_text(v_failed.id) || ' ended ' || v_failed.status, 0);
    ELSIF v_need > 0 THEN
        PERFORM {api}.add_edges(p_id, v_waits);
        UPDATE {schema}.live l SET state = 0, reason = 2, need_left = v_need WHERE l.id = p_id;
    ELSIF p_delay > 0 THEN
        UPDATE {schema}.live l SET state = 0, reason = 1 WHERE l.id = p_id;
    ELSIF v_flags = 2 THEN
        PERFORM {api}.enter_lane(p_now, p_id);
    ELSE
        PERFORM {api}.wake(p_queue);
    END IF;
END
$$;

-- Items of any kind, in order, each seeing those before it. Exclusive.
-- Reply: verdict (0 created, 1 existing, 2 deduped, 3 stale parent, 4 unknown dependency, 5 different, 6 debounced) and id
-- each, in order. Gates come as the text of an array, by name.
CREATE FUNCTION {api}.submit(
    p_now bigint,
    p_ids bytea[], p_tasks text[], p_queues text[], p_languages text[], p_arguments bytea[], p_policies bytea[],
    p_metas bytea[], p_bands integer[], p_rank_keys bigint[], p_delays bigint[], p_expires bigint[],
    p_retentions bigint[], p_max_crashes integer[], p_parents bytea[], p_sessions bigint[], p_epochs bigint[],
    p_keys bytea[], p_phases integer[], p_afters bytea[], p_after_policies integer[], p_after_needs integer[],
    p_dedupe_modes integer[], p_hashes bytea[], p_windows bigint[], p_gates text[], p_flows text[],
    p_weights integer[], p_lanes bytea[]
) RETURNS TABLE (verdict integer, id bytea) LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
    v_before bigint;
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    v_now := {api}.clock(p_now);
    v_before := {api}.first_due();
    p_delays := {api}.delays_from(v_now, p_delays);
    FOR i IN 1 .. cardinality(p_ids) LOOP
        SELECT s.verdict, s.id INTO verdict, id FROM {api}.submit_one(
            v_now, p_ids[i], p_tasks[i], p_queues[i], p_languages[i], p_arguments[i], p_policies[i], p_metas[i],
            p_bands[i], p_rank_keys[i], p_delays[i], p_expires[i], p_retentions[i], p_max_crashes[i], p_parents[i],
            p_sessions[i], p_epochs[i], p_keys[i], p_phases[i], p_afters[i], p_after_policies[i], p_after_needs[i],
            p_dedupe_modes[i], p_hashes[i], p_windows[i], p_gates[i]::{schema}.gate[], p_flows[i], p_weights[i],
            p_lanes[i]) AS s;
        RETURN NEXT;
    END LOOP;
    PERFORM {api}.wake_for_timer(v_before);
END
$$;

-- submit_within: submit in a transaction of the user's own: the invocations exist if and only if it commits. It takes no
-- lock of the app, because nobody knows how long that transaction lasts; so nothing that comes after others or has a key,
-- and what has gates is delayed until now: a tick puts it into its lane. Everybody who listens is woken at its commit.
CREATE FUNCTION {api}.submit_within(
    p_now bigint,
    p_ids bytea[], p_tasks text[], p_queues text[], p_languages text[], p_arguments bytea[], p_policies bytea[],
    p_metas bytea[], p_bands integer[], p_keys bigint[], p_delays bigint[], p_expires bigint[], p_retentions bigint[],
    p_max_crashes integer[], p_gates text[], p_flows text[], p_weights integer[], p_lanes bytea[]
) RETURNS SETOF bytea LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint := {api}.clock(p_now);
    v_fresh bytea[];
BEGIN
    v_fresh := ARRAY(SELECT * FROM {api}.place_plain(v_now, NULL, NULL, p_ids, p_tasks, p_queues, p_languages, p_arguments,
        p_policies, p_metas, p_bands, p_keys, {api}.delays_from(v_now, p_delays), p_expires, p_retentions,
        p_max_crashes));
    RETURN QUERY SELECT unnest(v_fresh);
    FOR i IN 1 .. cardinality(p_lanes) LOOP
        CONTINUE WHEN p_lanes[i] IS NULL OR p_ids[i] <> ALL (v_fresh);
        UPDATE {schema}.call
        SET gates = p_gates[i]::{schema}.gate[], flow = p_flows[i], weight = p_weights[i], lane = p_lanes[i]
        WHERE id = p_ids[i];
        UPDATE {schema}.live SET flags = 2, state = 0, reason = 1, not_before = coalesce(not_before, v_now)
        WHERE id = p_ids[i];
    END LOOP;
    PERFORM pg_notify('{schema}', '*');
END
$$;
