-- What clients and people do to invocations and queues.

-- watch: register for the ends of these, as one unit with the look whether they have ended already.
-- Reply: outcomes of final ones {what 3}, unknown ones {what 0}. A registration that a crash of the server takes is made
-- again by its client, whose bell tells it that it was cut off, so the disk is not waited for.
CREATE FUNCTION {api}.watch(p_now bigint, p_session bigint, p_ids bytea[]) RETURNS SETOF {api}.reply
LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_reply {api}.reply;
    v_found bigint;
    v_final bigint;
BEGIN
    PERFORM {api}.lock_app(false);
    PERFORM {api}.lock_watchers(true);
    IF EXISTS (SELECT FROM {schema}.session WHERE number = p_session AND bell LIKE '%/%') THEN
        SET LOCAL synchronous_commit = off;
    END IF;
    PERFORM {api}.renew({api}.clock(p_now), p_session, p_now IS NOT NULL);
    WITH known AS (
        SELECT l.id FROM {schema}.live l WHERE l.id = ANY (p_ids)
    ), noted AS (
        INSERT INTO {schema}.watch SELECT id, p_session FROM known ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO v_found FROM known;
    IF v_found = cardinality(p_ids) THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM {api}.outcome_rows(0, p_ids);
    GET DIAGNOSTICS v_final = ROW_COUNT;
    IF v_found + v_final = cardinality(p_ids) THEN
        RETURN;
    END IF;
    v_reply.what := 0;
    FOR v_reply.id IN
        SELECT w.id FROM unnest(p_ids) WITH ORDINALITY AS w (id, place)
        WHERE NOT EXISTS (SELECT FROM {schema}.call c WHERE c.id = w.id) ORDER BY place
    LOOP
        RETURN NEXT v_reply;
    END LOOP;
END
$$;

-- cancel: end what has not begun, tell the owners of what has. Exclusive.
-- Reply: ids as given, then with `p_tree` everything below them by id; 0 cancelled, 1 requested, 2 final, 3 unknown.
CREATE FUNCTION {api}.cancel(p_now bigint, p_ids bytea[], p_tree boolean, p_detail text)
RETURNS TABLE (id bytea, verdict integer) LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
    r {schema}.live%ROWTYPE;
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    v_now := {api}.clock(p_now);
    FOR id IN
        WITH RECURSIVE below (id) AS (
            SELECT unnest(CASE WHEN p_tree THEN p_ids END)
            UNION
            SELECT c.id FROM {schema}.call c JOIN below b ON c.parent = b.id
        )
        SELECT g.id FROM (
            SELECT given.id, given.place FROM unnest(p_ids) WITH ORDINALITY AS given (id, place)
            UNION ALL
            SELECT b.id, NULL FROM below b WHERE b.id <> ALL (p_ids)
        ) AS g ORDER BY g.place NULLS LAST, g.id
    LOOP
        SELECT * INTO r FROM {schema}.live l WHERE l.id = cancel.id;
        IF NOT FOUND THEN
            verdict := CASE WHEN EXISTS (SELECT FROM {schema}.outcome o WHERE o.id = cancel.id) THEN 2 ELSE 3 END;
        ELSIF r.state = 2 THEN
            verdict := 1;
            IF NOT r.cancel_requested THEN
                UPDATE {schema}.live l SET cancel_requested = true WHERE l.id = r.id;
                PERFORM {api}.notify_cancel(r.id, p_detail);
            END IF;
        ELSE
            verdict := 0;
            PERFORM {api}.notify_cancel(r.id, p_detail);
            PERFORM {api}.end_run(v_now, r.id, 'cancelled', '', p_detail, 0);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE FUNCTION {api}.pause(p_now bigint, p_queue text, p_by text, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.queue AS q (name, paused, paused_by, pause_reason, paused_at)
    VALUES (p_queue, true, p_by, p_reason, {api}.clock(p_now))
    ON CONFLICT (name) DO UPDATE SET paused = true, paused_by = excluded.paused_by,
        pause_reason = excluded.pause_reason, paused_at = excluded.paused_at
    WHERE NOT q.paused;
END
$$;

-- resume: undo `pause` and wake whoever sleeps and serves the queue.
CREATE FUNCTION {api}.resume(p_now bigint, p_queue text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {api}.lock_app(true);
    UPDATE {schema}.queue SET paused = false WHERE name = p_queue AND paused;
    IF FOUND THEN
        PERFORM {api}.wake(p_queue, NULL);
    END IF;
END
$$;

-- requeue: put final invocations back to READY; the outcome moves to the attempts. Exclusive.
CREATE FUNCTION {api}.requeue(p_now bigint, p_ids bytea[]) RETURNS SETOF bytea LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    o {schema}.outcome%ROWTYPE;
    r {schema}.live%ROWTYPE;
    v_id bytea;
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    FOREACH v_id IN ARRAY p_ids LOOP
        DELETE FROM {schema}.outcome WHERE id = v_id RETURNING * INTO o;
        CONTINUE WHEN NOT FOUND;
        INSERT INTO {schema}.attempt
            (id, number, epoch, reason, session, worker, claimed_at, started_at, ended_at, error, detail)
        VALUES (o.id, o.attempt, o.epoch, 10, o.session, o.worker, coalesce(o.claimed_at, o.registered_at),
            o.started_at, o.ended_at, CASE WHEN o.status = 'failed' THEN o.payload ELSE '' END, o.status);
        INSERT INTO {schema}.live
            (id, queue, rank, registered_at, retention, max_crashes, state, reason, epoch, key, key_phase, flags)
        VALUES (o.id, o.queue, (o.band::bigint << 44) + nextval('{schema}.rank_sequence'), o.registered_at,
            o.retention, o.max_crashes, 1, 10, o.epoch, o.key, o.key_phase, {api}.gate_flag(o.id)) RETURNING * INTO r;
        PERFORM {api}.queue_up({api}.clock(p_now), r);
        RETURN NEXT v_id;
    END LOOP;
END
$$;

-- purge: forget these final invocations. Exclusive, so that nothing comes to depend on what goes.
CREATE FUNCTION {api}.purge(p_now bigint, p_ids bytea[]) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    RETURN {api}.forget(p_ids);
END
$$;

-- purge_all: forget a part of everything, at most so many invocations and client data; called until there is no more.
-- Sessions stay. Exclusive for each part.
CREATE FUNCTION {api}.purge_all(p_now bigint, p_budget integer, OUT went bigint, OUT more boolean) LANGUAGE plpgsql AS $$
DECLARE
    v_ids bytea[];
    v_keys bytea[];
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    v_ids := ARRAY(SELECT id FROM {schema}.call ORDER BY id LIMIT p_budget);
    PERFORM {api}.forget(v_ids);
    DELETE FROM {schema}.dedupe d USING {schema}.live l WHERE l.id = ANY (v_ids) AND d.key = l.key AND d.id = l.id;
    PERFORM {api}.purge_gated({api}.clock(p_now), v_ids);
    DELETE FROM {schema}.live WHERE id = ANY (v_ids);
    DELETE FROM {schema}.call WHERE id = ANY (v_ids);
    DELETE FROM {schema}.attempt WHERE id = ANY (v_ids);
    DELETE FROM {schema}.progress WHERE id = ANY (v_ids);
    DELETE FROM {schema}.wait WHERE waiter = ANY (v_ids) OR waited = ANY (v_ids);
    DELETE FROM {schema}.watch WHERE id = ANY (v_ids);
    went := cardinality(v_ids);
    v_keys := ARRAY(SELECT key FROM {schema}.data ORDER BY key LIMIT p_budget - went);
    DELETE FROM {schema}.data WHERE key = ANY (v_keys);
    more := went + cardinality(v_keys) >= p_budget;
    IF NOT more THEN
        DELETE FROM {schema}.inbox;
        PERFORM {api}.forget_gates();
    END IF;
END
$$;

-- --- client data ---

CREATE FUNCTION {api}.put_data(p_now bigint, p_key bytea, p_body bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.data VALUES (p_key, p_body, {api}.clock(p_now))
    ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at;
END
$$;

CREATE FUNCTION {api}.collect_data(p_now bigint, p_before bigint) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM {schema}.data WHERE written_at < p_before RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION {api}.get_data(p_now bigint, p_key bytea) RETURNS SETOF bytea LANGUAGE sql STABLE AS $$
    SELECT body FROM {schema}.data WHERE key = p_key AND NOT EXISTS (SELECT FROM {api}.seal)
$$;
