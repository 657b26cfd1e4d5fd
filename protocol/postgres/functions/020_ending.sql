-- How invocations end, and whom that wakes. Only for operations that hold the app's lock exclusively.

CREATE FUNCTION {api}.drop_edges(p_waiter bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.wait WHERE waiter = p_waiter;
END
$$;

CREATE FUNCTION {api}.write_attempt(
    p_now bigint, p_id bytea, p_reason integer, p_error bytea, p_detail text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.attempt
        (id, number, epoch, reason, session, worker, claimed_at, started_at, ended_at, error, detail, suspended_at)
    SELECT id, attempt, epoch, p_reason, coalesce(owner, 0), worker, coalesce(claimed_at, registered_at), started_at,
        p_now, p_error, p_detail, CASE WHEN p_reason = 11 THEN suspended_at END
    FROM {schema}.live WHERE id = p_id;
END
$$;

-- Tell the watchers of a final invocation.
CREATE FUNCTION {api}.tell_watchers(p_id bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_session bigint;
BEGIN
    FOR v_session IN
        WITH told AS (
            DELETE FROM {schema}.watch WHERE id = p_id RETURNING session
        ), sent AS (
            INSERT INTO {schema}.inbox (session, id, status, payload, reason, attempt, crashes, epoch, completed_by,
                worker, registered_at, claimed_at, started_at, ended_at, expires_at)
            SELECT t.session, o.id, o.status, o.payload, o.reason, o.attempt, o.crashes, o.epoch, o.session,
                o.worker, o.registered_at, o.claimed_at, o.started_at, o.ended_at, o.expires_at
            FROM told t CROSS JOIN {schema}.outcome o WHERE o.id = p_id
            ORDER BY t.session
            RETURNING session
        )
        SELECT DISTINCT session FROM sent
    LOOP
        PERFORM {api}.ring(v_session);
    END LOOP;
END
$$;

-- Let others take the keys of these final invocations, where their phase says so.
CREATE FUNCTION {api}.free_keys(p_ids bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.dedupe d USING {schema}.outcome o
    WHERE o.id = ANY (p_ids) AND d.key = o.key AND d.id = o.id
        AND (o.key_phase <= 1 OR (o.key_phase = 3 AND o.status <> 'success'));
END
$$;

CREATE FUNCTION {api}.write_outcome(
    p_now bigint, p_id bytea, p_status text, p_payload bytea, p_reason text, p_session bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
BEGIN
    DELETE FROM {schema}.live WHERE id = p_id RETURNING * INTO r;
    INSERT INTO {schema}.outcome VALUES (
        r.id, p_status, p_payload, p_reason, r.attempt, r.crashes, r.epoch, p_session, r.worker, r.registered_at,
        r.claimed_at, r.started_at, p_now, p_now + r.retention, r.rank >> 44, r.retention, r.max_crashes, r.key,
        r.key_phase, r.queue
    );
    PERFORM {api}.drop_edges(p_id);
    IF r.flags & 2 <> 0 THEN
        PERFORM {api}.end_gated(p_now, r);
    END IF;
    IF r.key IS NOT NULL THEN
        PERFORM {api}.free_keys(ARRAY[p_id]);
    END IF;
    PERFORM {api}.tell_watchers(p_id);
END
$$;

-- Hand a suspended invocation back to its owner, which goes on when it has a slot.
CREATE FUNCTION {api}.resume_run(p_id bytea, p_timed_out boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_owner bigint;
BEGIN
    PERFORM {api}.drop_edges(p_id);
    UPDATE {schema}.live SET need_left = 0, wait_until = NULL, timed_out = p_timed_out, state = 1, reason = 9
    WHERE id = p_id RETURNING owner INTO v_owner;
    PERFORM {api}.ring(v_owner);
END
$$;

-- How one ends that cannot run any more because of those it comes after.
CREATE FUNCTION {api}.fallen_status(p_after_policy integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_after_policy = 2 THEN 'failed' ELSE 'cancelled' END
$$;

-- Take the edges to an ended invocation away; return the waiters that end with it, by id.
CREATE FUNCTION {api}.release_waiters(p_now bigint, p_id bytea, p_status text) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
    v_fallen bytea[] := '{}';
BEGIN
    FOR r IN
        SELECT l.* FROM {schema}.wait w JOIN {schema}.live l ON l.id = w.waiter WHERE w.waited = p_id ORDER BY l.id
    LOOP
        DELETE FROM {schema}.wait WHERE waiter = r.id AND waited = p_id;
        IF r.state = 0 AND r.after_policy <> 1 AND p_status <> 'success' THEN
            -- Others may still make it, if there are enough of them.
            CONTINUE WHEN EXISTS (SELECT FROM {schema}.wait WHERE waiter = r.id OFFSET r.need_left - 1 LIMIT 1);
            PERFORM {api}.drop_edges(r.id);
            v_fallen := array_append(v_fallen, r.id);
            CONTINUE;
        END IF;
        UPDATE {schema}.live SET need_left = need_left - 1 WHERE id = r.id;
        CONTINUE WHEN r.need_left > 1;
        PERFORM {api}.drop_edges(r.id);
        IF r.state = 3 THEN
            PERFORM {api}.resume_run(r.id, false);
        ELSIF r.not_before IS NOT NULL THEN
            UPDATE {schema}.live SET reason = 1 WHERE id = r.id;
        ELSE
            UPDATE {schema}.live SET state = 1, reason = 0 WHERE id = r.id;
            PERFORM {api}.queue_up(p_now, r);
        END IF;
    END LOOP;
    RETURN v_fallen;
END
$$;

-- Write the outcome of an invocation and wake whoever waited for it; in turn end what depended on its success.
CREATE FUNCTION {api}.end_run(
    p_now bigint, p_id bytea, p_status text, p_payload bytea, p_reason text, p_session bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_queue bytea[] := ARRAY[p_id];
    v_statuses text[] := ARRAY[p_status];
    v_fallen bytea;
    v_fate text;
    v_place integer := 1;
BEGIN
    PERFORM {api}.write_outcome(p_now, p_id, p_status, p_payload, p_reason, p_session);
    WHILE v_place <= cardinality(v_queue) LOOP
        FOREACH v_fallen IN ARRAY {api}.release_waiters(p_now, v_queue[v_place], v_statuses[v_place]) LOOP
            SELECT {api}.fallen_status(after_policy) INTO v_fate FROM {schema}.live WHERE id = v_fallen;
            PERFORM {api}.write_outcome(p_now, v_fallen, v_fate, '',
                'dependency ' || {api}.id_text(v_queue[v_place]) || ' ended ' || v_statuses[v_place], 0);
            v_queue := array_append(v_queue, v_fallen);
            v_statuses := array_append(v_statuses, v_fate);
        END LOOP;
        v_place := v_place + 1;
    END LOOP;
END
$$;

-- Make an invocation that lost its owner claimable again, now or after a delay.
CREATE FUNCTION {api}.put_back(p_now bigint, p_id bytea, p_reason integer, p_delay bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
BEGIN
    PERFORM {api}.drop_edges(p_id);
    UPDATE {schema}.live SET owner = NULL, need_left = 0, waits = NULL, worker = 0, claimed_at = NULL,
        started_at = NULL, suspended_at = NULL, wait_until = NULL, reason = p_reason,
        state = CASE WHEN p_delay > 0 THEN 0 ELSE 1 END,
        not_before = CASE WHEN p_delay > 0 THEN p_now + p_delay END
    WHERE id = p_id RETURNING * INTO r;
    IF r.parked IS NOT NULL OR r.trial IS NOT NULL THEN
        PERFORM {api}.withdraw(p_now, r);
    END IF;
    -- In its lane first: if it comes before the others, it is also the first that is let out.
    IF p_delay <= 0 THEN
        PERFORM {api}.queue_up(p_now, r);
    END IF;
    IF r.flags & 2 <> 0 THEN
        PERFORM {api}.give_up(p_now, p_id, {api}.gates_of(p_id), p_delay > 0);
    END IF;
END
$$;

-- Claimable again, or over if somebody asked for that meanwhile.
CREATE FUNCTION {api}.give_back(p_now bigint, p_id bytea, p_reason integer, p_delay bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT cancel_requested FROM {schema}.live WHERE id = p_id) THEN
        PERFORM {api}.end_run(p_now, p_id, 'cancelled', '', 'cancelled while running', 0);
    ELSE
        PERFORM {api}.put_back(p_now, p_id, p_reason, p_delay);
    END IF;
END
$$;

-- Take a run that died with its worker into account, and run it again or give up.
CREATE FUNCTION {api}.crash(p_now bigint, p_id bytea, p_reason integer, p_detail text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
BEGIN
    PERFORM {api}.write_attempt(p_now, p_id, p_reason, '', p_detail);
    UPDATE {schema}.live SET attempt = attempt - 1, crashes = crashes + 1, expires_at = NULL
    WHERE id = p_id RETURNING * INTO r;
    IF r.crashes > r.max_crashes AND NOT r.cancel_requested THEN
        PERFORM {api}.end_run(p_now, p_id, 'failed', '',
            'worker died ' || r.crashes || ' times, last: ' || p_detail, 0);
    ELSE
        PERFORM {api}.give_back(p_now, p_id, p_reason, 0);
    END IF;
END
$$;

CREATE FUNCTION {api}.notify_cancel(p_id bytea, p_detail text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_owner bigint;
BEGIN
    INSERT INTO {schema}.inbox (session, id, epoch, reason)
    SELECT owner, id, epoch, p_detail FROM {schema}.live WHERE id = p_id AND owner IS NOT NULL
    RETURNING session INTO v_owner;
    IF v_owner IS NOT NULL THEN
        PERFORM {api}.ring(v_owner);
    END IF;
END
$$;

CREATE FUNCTION {api}.expire(p_now bigint, p_id bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {api}.end_run(p_now, p_id, 'expired', '', 'it did not start in time', 0);
END
$$;

CREATE FUNCTION {api}.hand_back(p_now bigint, p_id bytea, p_reason integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {api}.write_attempt(p_now, p_id, p_reason, '', '');
    UPDATE {schema}.live SET attempt = attempt - 1 WHERE id = p_id;
    PERFORM {api}.give_back(p_now, p_id, p_reason, 0);
END
$$;

-- End a session: a closed one hands back uncounted, for a lost one what it ran counts as a crash.
CREATE FUNCTION {api}.end_session(p_now bigint, p_session bigint, p_is_lost boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_id bytea;
    r {schema}.live%ROWTYPE;
BEGIN
    FOR v_id IN SELECT id FROM {schema}.live WHERE owner = p_session ORDER BY id LOOP
        SELECT * INTO r FROM {schema}.live WHERE id = v_id AND owner = p_session;
        CONTINUE WHEN NOT FOUND;
        IF NOT p_is_lost THEN
            PERFORM {api}.hand_back(p_now, v_id, 4);
        ELSIF r.state <> 2 THEN
            PERFORM {api}.hand_back(p_now, v_id, 6);
        ELSIF r.started_at IS NULL THEN
            PERFORM {api}.hand_back(p_now, v_id, 5);
        ELSE
            PERFORM {api}.crash(p_now, v_id, 6, 'runner lost');
        END IF;
    END LOOP;
    UPDATE {schema}.session SET ended_at = p_now WHERE number = p_session;
    DELETE FROM {schema}.sleeper WHERE number = p_session;
    DELETE FROM {schema}.watch WHERE session = p_session;
    DELETE FROM {schema}.inbox WHERE session = p_session;
END
$$;
