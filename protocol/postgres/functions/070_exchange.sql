-- exchange: the one round trip of a session: renew, settle, report, tick, claim, fetch messages, in this order.

-- Completions whose end nobody but watchers waits for, all at once, each invocation once. Reply: the places of those that
-- were accepted. What has gates takes the exclusive lock.
-- The caller holds the lock of watchers or the exclusive one, so whoever watches one of them is seen.
CREATE FUNCTION {api}.settle_plain(
    p_now bigint, p_exclusive boolean, p_session bigint, p_ids bytea[], p_epochs bigint[], p_kinds integer[], p_ran bigint[],
    p_workers bigint[], p_payloads bytea[], p_texts text[]
) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    v_places integer[];
    v_flags integer;
    v_keyed bytea[];
    v_gated integer[];
    v_told bigint[];
    v_session bigint;
BEGIN
    WITH gone AS (
        -- By id and in its order, so that nobody waits in a circle. A session may own many more than it settles.
        DELETE FROM {schema}.live
        WHERE id = ANY (p_ids) AND epoch = p_epochs[array_position(p_ids, id)] AND coalesce(owner, 0) = p_session
            AND state = 2
        RETURNING *, array_position(p_ids, id) AS place
    ), ended AS MATERIALIZED (
        SELECT id, CASE p_kinds[place] WHEN 0 THEN 'success' WHEN 1 THEN 'failed' ELSE 'cancelled' END AS status,
            p_payloads[place] AS payload, p_texts[place] AS text, attempt, crashes, epoch,
            CASE WHEN p_workers[place] <> 0 THEN p_workers[place] ELSE worker END AS worker,
            registered_at, claimed_at, CASE WHEN started_at IS NULL AND p_ran[place] > 0
                THEN greatest(coalesce(claimed_at, p_now), p_now - p_ran[place]) ELSE started_at END AS started_at,
            p_now + retention AS expires_at, rank >> 44 AS band, retention, max_crashes, key, key_phase, queue, place
        FROM gone
    ), put AS (
        INSERT INTO {schema}.outcome
        SELECT id, status, payload, text, attempt, crashes, epoch, p_session, worker, registered_at, claimed_at,
            started_at, p_now, expires_at, band, retention, max_crashes, key, key_phase, queue
        FROM ended
    ), told AS MATERIALIZED (
        SELECT w.watcher, e.* FROM ended e
        CROSS JOIN LATERAL (SELECT session AS watcher FROM {schema}.watch WHERE id = e.id OFFSET 0) AS w
    ), unwatched AS (
        DELETE FROM {schema}.watch WHERE id = ANY (ARRAY(SELECT id FROM told))
    ), sent AS (
        INSERT INTO {schema}.inbox (session, id, status, payload, reason, attempt, crashes, epoch, completed_by,
            worker, registered_at, claimed_at, started_at, ended_at, expires_at)
        SELECT watcher, id, status, payload, text, attempt, crashes, epoch, p_session, worker, registered_at,
            claimed_at, started_at, p_now, expires_at
        FROM told ORDER BY watcher, place
        RETURNING session
    )
    SELECT coalesce(array_agg(place::integer), '{}'), coalesce(bit_or(flags), 0),
        array_agg(id) FILTER (WHERE key IS NOT NULL), (SELECT array_agg(DISTINCT session) FROM sent),
        array_agg(place ORDER BY place) FILTER (WHERE flags & 2 <> 0)
    INTO v_places, v_flags, v_keyed, v_told, v_gated FROM gone;
    IF v_flags & 1 <> 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'somebody waits';
    ELSIF v_flags & 2 <> 0 THEN
        IF NOT p_exclusive THEN
            RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'gates';
        END IF;
        PERFORM {api}.end_all_gated(p_now, ARRAY(SELECT p_ids[place] FROM unnest(v_gated) AS place),
            ARRAY(SELECT p_kinds[place] FROM unnest(v_gated) AS place));
    END IF;
    IF v_keyed IS NOT NULL THEN
        PERFORM {api}.free_keys(v_keyed);
    END IF;
    IF v_told IS NOT NULL THEN
        FOREACH v_session IN ARRAY v_told LOOP
            PERFORM {api}.ring(v_session);
        END LOOP;
    END IF;
    RETURN v_places;
END
$$;

-- Whether these completions may be settled all at once, by somebody who holds the app's lock exclusively.
CREATE FUNCTION {api}.are_ends(p_ids bytea[], p_kinds integer[]) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN p_kinds <@ ARRAY[0, 1, 2] AND (SELECT count(DISTINCT id) FROM unnest(p_ids) AS id) = cardinality(p_ids)
        AND (SELECT coalesce(bit_or(flags), 0) & 1 = 0 FROM {schema}.live WHERE id = ANY (p_ids));
END
$$;

-- What a completion is told that did not find its invocation owned under its fence: 1 already, 2 stale.
CREATE FUNCTION {api}.not_owned(p_session bigint, p_id bytea, p_epoch bigint) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN EXISTS (
        SELECT FROM {schema}.outcome WHERE id = p_id AND session = p_session AND epoch = p_epoch
    ) THEN 1 ELSE 2 END
$$;

-- One completion of any kind; the caller holds the app's lock exclusively.
--   kind  0 success, 1 failure, 2 cancelled, 3 retry, 4 release, 5 crash, 6 suspend
CREATE FUNCTION {api}.settle_one(
    p_now bigint, p_session bigint, p_id bytea, p_epoch bigint, p_kind integer, p_ran bigint, p_worker bigint,
    p_payload bytea, p_text text, p_delay bigint, p_number integer, OUT verdict integer, OUT ids bytea[]
) LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
BEGIN
    ids := '{}';
    verdict := 0;
    SELECT * INTO r FROM {schema}.live WHERE id = p_id AND owner = p_session AND epoch = p_epoch;
    IF FOUND AND p_kind = 6 THEN
        SELECT s.verdict, s.ids INTO verdict, ids
        FROM {api}.suspend(p_now, r, p_ran, p_worker, p_payload, p_number, p_delay, p_text = 'inherit') AS s;
        RETURN;
    END IF;
    IF NOT FOUND OR r.state <> 2 THEN
        verdict := {api}.not_owned(p_session, p_id, p_epoch);
        RETURN;
    END IF;
    PERFORM {api}.note_run(p_now, p_id, p_ran, p_worker);
    IF r.flags & 2 <> 0 AND p_kind IN (0, 1, 3, 5) THEN
        PERFORM {api}.report(p_now, p_id, {api}.gates_of(p_id), p_kind <> 0);
    END IF;
    CASE p_kind
    WHEN 0 THEN
        PERFORM {api}.end_run(p_now, p_id, 'success', p_payload, '', p_session);
    WHEN 1 THEN
        PERFORM {api}.end_run(p_now, p_id, 'failed', p_payload, p_text, p_session);
    WHEN 2 THEN
        PERFORM {api}.end_run(p_now, p_id, 'cancelled', '', p_text, p_session);
    WHEN 3 THEN
        PERFORM {api}.write_attempt(p_now, p_id, p_number, p_payload, '');
        UPDATE {schema}.live SET expires_at = NULL WHERE id = p_id;
        PERFORM {api}.give_back(p_now, p_id, p_number, p_delay);
    WHEN 4 THEN
        PERFORM {api}.write_attempt(p_now, p_id, 4, '', p_text);
        UPDATE {schema}.live SET attempt = attempt - 1 WHERE id = p_id;
        PERFORM {api}.give_back(p_now, p_id, 4, p_delay);
    WHEN 5 THEN
        PERFORM {api}.crash(p_now, p_id, 7, p_text);
    END CASE;
END
$$;

-- {id, epoch, worker, ago}: a stale report changes nothing.
CREATE FUNCTION {api}.note_started(
    p_now bigint, p_session bigint, p_ids bytea[], p_epochs bigint[], p_workers bigint[], p_ago bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(p_ids) LOOP
        UPDATE {schema}.live SET started_at = greatest(coalesce(claimed_at, p_now), p_now - p_ago[i]),
            worker = p_workers[i], expires_at = NULL
        WHERE id = p_ids[i] AND coalesce(owner, 0) = p_session AND epoch = p_epochs[i] AND state = 2
            AND started_at IS NULL;
    END LOOP;
END
$$;

CREATE FUNCTION {api}.note_progress(p_session bigint, p_ids bytea[], p_epochs bigint[], p_bodies bytea[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.progress
    SELECT DISTINCT ON (n.id) n.id, n.body
    FROM unnest(p_ids, p_epochs, p_bodies) WITH ORDINALITY AS n (id, epoch, body, place)
    JOIN {schema}.live l ON l.id = n.id AND l.owner = p_session AND l.epoch = n.epoch
    ORDER BY n.id, n.place DESC
    ON CONFLICT (id) DO UPDATE SET body = excluded.body;
END
$$;

-- Let up to `p_want` suspended invocations of the session go on.
CREATE FUNCTION {api}.claim_resumable(p_now bigint, p_exclusive boolean, p_session bigint, p_want integer)
RETURNS SETOF {api}.reply LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
    v_reply {api}.reply;
BEGIN
    v_reply.what := 2;
    v_reply.place := 0;
    WHILE v_reply.place < p_want LOOP
        SELECT * INTO r FROM {schema}.live WHERE owner = p_session AND state = 1 AND parked IS NULL
        ORDER BY owner, rank, id LIMIT 1 FOR UPDATE;
        EXIT WHEN NOT FOUND;
        IF r.flags & 2 <> 0 THEN
            IF NOT p_exclusive THEN
                RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'gates';
            END IF;
            CONTINUE WHEN NOT {api}.may_go_on(p_now, r);
        END IF;
        PERFORM {api}.write_attempt(p_now, r.id, 11, '', '');
        UPDATE {schema}.live SET state = 2, suspended_at = NULL, waits = NULL, timed_out = false WHERE id = r.id;
        v_reply.id := r.id;
        v_reply.n1 := r.epoch;
        v_reply.n2 := r.timed_out::integer;
        RETURN NEXT v_reply;
        RETURN QUERY SELECT * FROM {api}.outcome_rows(v_reply.place, {api}.split_ids(coalesce(r.waits, '')));
        v_reply.place := v_reply.place + 1;
    END LOOP;
END
$$;

CREATE FUNCTION {api}.fetch_inbox(p_session bigint) RETURNS SETOF {api}.reply LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY WITH fetched AS (DELETE FROM {schema}.inbox WHERE session = p_session RETURNING *)
    SELECT 4::smallint, 0, id, status, reason, payload, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea,
        attempt::bigint, crashes::bigint, epoch, completed_by, worker, registered_at, claimed_at, started_at, ended_at,
        expires_at
    FROM fetched ORDER BY position;
END
$$;

-- Reply: verdicts {what 0: n1 verdict, b1 ids of a cycle} with their outcomes {3}, claims {1}, resumed {2} with their
-- outcomes, messages {4}, and {5: n1 next_due, n2 more} at the end.
-- Raises PN001 with nothing applied; PN002 if it has to be sent again as exclusive, with nothing applied either.
CREATE FUNCTION {api}.exchange(
    p_now bigint, p_exclusive boolean, p_session bigint,
    p_ids bytea[], p_epochs bigint[], p_kinds integer[], p_ran bigint[], p_workers bigint[], p_payloads bytea[],
    p_texts text[], p_delays bigint[], p_numbers integer[],
    p_started bytea[], p_started_epochs bigint[], p_started_workers bigint[], p_started_ago bigint[],
    p_noted bytea[], p_noted_epochs bigint[], p_notes bytea[],
    p_want integer, p_queues text[], p_claims_new boolean, p_rank_before bigint, p_awaited boolean,
    p_sleeps boolean, p_budget integer, p_info bytea
) RETURNS SETOF {api}.reply LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
    v_before bigint;
    v_places integer[];
    v_reply {api}.reply;
    v_ids bytea[];
    v_resumed {api}.reply[] := '{}';
    v_taken bytea[] := '{}';
    v_late bytea[];
    v_left integer;
    v_low bigint;
    v_low_until bigint;
    v_timer bigint;
    v_lease bigint;
    v_more boolean := false;
    v_gated boolean;
    v_looked integer := 0;
    v_has_news boolean := p_exclusive OR cardinality(p_ids) > 0 OR cardinality(p_started) > 0 OR cardinality(p_noted) > 0;
BEGIN
    PERFORM {api}.lock_app(p_exclusive);
    v_now := {api}.clock(p_now);
    SELECT r.low, r.low_until INTO v_low, v_low_until FROM {api}.renew(v_now, p_session, p_now IS NOT NULL) AS r;
    v_reply.what := 0;
    IF p_info IS NOT NULL THEN
        UPDATE {schema}.session SET info = p_info WHERE number = p_session;
    END IF;
    IF cardinality(p_noted) > 0 THEN
        PERFORM {api}.note_progress(p_session, p_noted, p_noted_epochs, p_notes);
    END IF;

    IF p_exclusive THEN
        v_before := {api}.first_due();
    END IF;
    IF p_exclusive AND cardinality(p_ids) > 0 AND NOT {api}.are_ends(p_ids, p_kinds) THEN
        FOR i IN 1 .. cardinality(p_ids) LOOP
            SELECT s.verdict, s.ids INTO v_reply.n1, v_ids FROM {api}.settle_one(v_now, p_session, p_ids[i],
                p_epochs[i], p_kinds[i], p_ran[i], p_workers[i], p_payloads[i], p_texts[i], p_delays[i], p_numbers[i])
                AS s;
            v_reply.b1 := CASE WHEN v_reply.n1 IN (4, 5) THEN
                (SELECT string_agg(c.id, ''::bytea ORDER BY place) FROM unnest(v_ids) WITH ORDINALITY AS c (id, place)) END;
            RETURN NEXT v_reply;
            IF v_reply.n1 = 3 THEN
                RETURN QUERY SELECT * FROM {api}.outcome_rows(i - 1, v_ids);
            END IF;
        END LOOP;
    ELSIF cardinality(p_ids) > 0 THEN
        IF NOT p_exclusive THEN
            PERFORM {api}.lock_watchers(false);
        END IF;
        v_places := {api}.settle_plain(v_now, p_exclusive, p_session, p_ids, p_epochs, p_kinds, p_ran, p_workers, p_payloads,
            p_texts);
        IF cardinality(v_places) < cardinality(p_ids) THEN
            FOR i IN 1 .. cardinality(p_ids) LOOP
                v_reply.n1 := CASE WHEN i = ANY (v_places) THEN 0
                    ELSE {api}.not_owned(p_session, p_ids[i], p_epochs[i]) END;
                RETURN NEXT v_reply;
            END LOOP;
        END IF;
    END IF;
    IF cardinality(p_started) > 0 THEN
        PERFORM {api}.note_started(v_now, p_session, p_started, p_started_epochs, p_started_workers, p_started_ago);
    END IF;

    -- A few looks at the heads of indexes spare a tick that would find nothing.
    v_gated := EXISTS (SELECT FROM {schema}.meta WHERE name = 'gates');
    v_timer := (SELECT due FROM {schema}.live WHERE due IS NOT NULL ORDER BY due LIMIT 1);
    IF v_gated THEN
        v_timer := least(v_timer, (SELECT due FROM {schema}.gate_timer ORDER BY due LIMIT 1));
    END IF;
    v_lease := (SELECT expires_at FROM {schema}.session WHERE ended_at IS NULL ORDER BY expires_at LIMIT 1);
    IF p_budget <= 0 OR v_timer <= v_now OR v_lease <= v_now
        OR (SELECT expires_at FROM {schema}.outcome WHERE expires_at IS NOT NULL ORDER BY expires_at LIMIT 1) <= v_now
    THEN
        SELECT w.more INTO v_more FROM {api}.work_off(v_now, p_exclusive, p_budget) AS w;
        v_gated := v_gated OR EXISTS (SELECT FROM {schema}.meta WHERE name = 'gates');
        v_timer := v_now;
        v_has_news := true;
    END IF;
    v_left := p_want;
    IF p_want > 0 AND EXISTS (SELECT FROM {schema}.live WHERE owner = p_session AND state = 1 AND parked IS NULL) THEN
        v_resumed := ARRAY(SELECT r FROM {api}.claim_resumable(v_now, p_exclusive, p_session, p_want) AS r);
        RETURN QUERY SELECT * FROM unnest(v_resumed);
        v_left := v_left - (SELECT count(*) FROM unnest(v_resumed) AS r WHERE r.what = 2);
    END IF;
    IF p_claims_new AND v_left > 0 THEN
        SELECT c.taken, c.looked INTO v_taken, v_looked FROM {api}.claim_new(v_now, p_exclusive, p_session, p_queues,
            p_rank_before, p_awaited, v_left, v_low, v_low_until, v_gated) AS c;
        v_left := v_left - cardinality(v_taken);
    END IF;
    IF p_exclusive THEN
        PERFORM {api}.wake_for_timer(v_before);
    END IF;
    IF p_sleeps AND v_left > 0 THEN
        -- Submissions that began before this moment are over once the lock is held, so a second look sees them; those
        -- that begin later wait for the lock and see the sleeper. Nobody sleeps beside work that nobody will ring for.
        PERFORM {api}.lock_sleepers(true);
        IF p_claims_new AND NOT p_exclusive THEN
            SELECT c.taken INTO v_late FROM {api}.claim_new(v_now, p_exclusive, p_session, p_queues, p_rank_before,
                p_awaited, v_left, 0, 0, v_gated) AS c;
            v_taken := v_taken || v_late;
            v_left := v_left - cardinality(v_late);
        END IF;
        IF v_left > 0 THEN
            INSERT INTO {schema}.sleeper SELECT number, bell, p_queues FROM {schema}.session WHERE number = p_session
            ON CONFLICT (number) DO NOTHING;
        END IF;
    END IF;
    -- A lease that was prolonged, messages that were fetched, a nap: what a crash of the server takes of these comes again,
    -- so nobody waits for the disk.
    IF NOT v_has_news AND cardinality(v_taken) = 0 AND cardinality(v_resumed) = 0 THEN
        SET LOCAL synchronous_commit = off;
    END IF;
    IF cardinality(v_taken) > 0 THEN
        RETURN QUERY SELECT * FROM {api}.claim_rows(v_taken);
    END IF;
    RETURN QUERY SELECT * FROM {api}.fetch_inbox(p_session);
    v_reply := NULL;
    v_reply.what := 5;
    -- Without timers nothing since the look can have changed when the next thing is due.
    v_reply.n1 := CASE WHEN v_timer IS NULL AND NOT p_exclusive THEN v_lease - v_now ELSE {api}.next_due(v_now) END;
    v_reply.n2 := (v_more OR v_looked >= 256)::integer;
    RETURN NEXT v_reply;
END
$$;
