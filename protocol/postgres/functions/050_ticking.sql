-- tick: whatever is due, each thing once, whoever calls.

-- Drop everything that is known of these final invocations; return how many there were.
CREATE FUNCTION {api}.forget(p_ids bytea[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_went bigint;
BEGIN
    WITH gone AS (
        DELETE FROM {schema}.outcome WHERE id = ANY (p_ids) RETURNING id, key
    ), calls AS (
        DELETE FROM {schema}.call WHERE id = ANY (ARRAY(SELECT id FROM gone))
    ), attempts AS (
        DELETE FROM {schema}.attempt WHERE id = ANY (ARRAY(SELECT id FROM gone))
    ), notes AS (
        DELETE FROM {schema}.progress WHERE id = ANY (ARRAY(SELECT id FROM gone))
    ), keys AS (
        DELETE FROM {schema}.dedupe d USING gone g WHERE g.key IS NOT NULL AND d.key = g.key AND d.id = g.id
    )
    SELECT count(*) INTO v_went FROM gone;
    RETURN v_went;
END
$$;

-- What was last written, or ended, before this instant is named by no known invocation.
CREATE FUNCTION {api}.unnamed_before(p_now bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(min(created_at) / 3600000000 * 3600000000, {api}.clock(p_now)) - 86400000000
    FROM {schema}.call WHERE NOT EXISTS (SELECT FROM {api}.seal)
$$;

-- Drop outcomes past their retention, and client data that no known invocation can name any more: it was last written
-- more than a day before the oldest of them was submitted.
CREATE FUNCTION {api}.tick_retention(p_now bigint, p_budget integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_went bigint;
    v_limit bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM {schema}.outcome WHERE expires_at <= p_now) THEN
        RETURN 0;
    END IF;
    v_went := {api}.forget(ARRAY(
        SELECT id FROM {schema}.outcome WHERE expires_at <= p_now ORDER BY expires_at, id LIMIT p_budget
        FOR UPDATE SKIP LOCKED
    ));
    IF v_went > 0 THEN
        v_limit := {api}.unnamed_before(p_now);
        DELETE FROM {schema}.data WHERE key = ANY (ARRAY(
            SELECT key FROM {schema}.data WHERE written_at < v_limit ORDER BY written_at, key LIMIT p_budget
        ));
        DELETE FROM {schema}.session WHERE number = ANY (ARRAY(
            SELECT number FROM {schema}.session WHERE ended_at < v_limit ORDER BY ended_at, number LIMIT p_budget
            FOR UPDATE SKIP LOCKED
        ));
    END IF;
    RETURN v_went;
END
$$;

CREATE FUNCTION {api}.handle_due(p_now bigint, p_id bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
BEGIN
    SELECT * INTO r FROM {schema}.live WHERE id = p_id;
    IF r.expires_at <= p_now AND (r.state = 0 OR (r.state = 1 AND r.owner IS NULL)) THEN
        PERFORM {api}.expire(p_now, p_id);
    ELSIF r.state = 3 THEN
        PERFORM {api}.resume_run(p_id, true);
    ELSE
        UPDATE {schema}.live SET state = 1, not_before = NULL, reason = CASE WHEN reason = 1 THEN 0 ELSE reason END
        WHERE id = p_id;
        PERFORM {api}.queue_up(p_now, r);
        IF r.flags & 2 <> 0 THEN
            PERFORM {api}.give_up(p_now, p_id, {api}.gates_of(p_id), false);
        END IF;
    END IF;
END
$$;

-- Timers in order of time, one after the other, because the end of one may change what is due for another. Exclusive.
CREATE FUNCTION {api}.tick_timers(p_now bigint, p_budget integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_handled integer := 0;
    v_id bytea;
    v_due bigint;
    v_gate text;
BEGIN
    WHILE v_handled < p_budget LOOP
        SELECT id, due INTO v_id, v_due FROM {schema}.live WHERE due <= p_now ORDER BY due, id LIMIT 1;
        SELECT gate INTO v_gate FROM {schema}.gate_timer
        WHERE due <= p_now AND (v_due IS NULL OR due < v_due) ORDER BY due, gate LIMIT 1;
        EXIT WHEN v_id IS NULL AND v_gate IS NULL;
        IF v_gate IS NOT NULL THEN
            PERFORM {api}.activate(p_now, v_gate);
        ELSE
            PERFORM {api}.handle_due(p_now, v_id);
        END IF;
        v_handled := v_handled + 1;
    END LOOP;
    RETURN v_handled;
END
$$;

-- Timers that only make delayed work runnable, without the exclusive lock; NULL if something else is due as well.
CREATE FUNCTION {api}.promote(p_now bigint, p_budget integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_others boolean;
    v_queue text;
    v_number bigint;
    v_handled integer := 0;
BEGIN
    IF EXISTS (SELECT FROM {schema}.gate_timer WHERE due <= p_now) THEN
        RETURN NULL;
    END IF;
    IF p_budget > 0 AND NOT EXISTS (SELECT FROM {schema}.live WHERE due <= p_now) THEN
        RETURN 0;
    END IF;
    SELECT bool_or(flags & 2 <> 0
        OR NOT (state = 0 AND need_left = 0 AND not_before <= p_now AND coalesce(expires_at > p_now, true)))
    INTO v_others
    FROM (SELECT * FROM {schema}.live WHERE due <= p_now ORDER BY due, id LIMIT p_budget) AS first;
    IF v_others THEN
        RETURN NULL;
    END IF;
    FOR v_queue, v_number IN
        WITH first AS MATERIALIZED (
            SELECT id FROM {schema}.live
            WHERE due <= p_now AND state = 0 AND need_left = 0 AND not_before <= p_now AND flags & 2 = 0
                AND coalesce(expires_at > p_now, true)
            ORDER BY due, id LIMIT p_budget FOR UPDATE SKIP LOCKED
        ), promoted AS (
            UPDATE {schema}.live
            SET state = 1, not_before = NULL, reason = CASE WHEN reason = 1 THEN 0 ELSE reason END
            WHERE id = ANY (ARRAY(SELECT id FROM first)) RETURNING queue
        )
        SELECT queue, count(*) FROM promoted GROUP BY queue
    LOOP
        v_handled := v_handled + v_number;
        PERFORM {api}.wake(v_queue, v_number);
    END LOOP;
    RETURN v_handled;
END
$$;

CREATE FUNCTION {api}.tick_sessions(p_now bigint, p_budget integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_handled integer := 0;
    v_session bigint;
BEGIN
    FOR v_session IN
        SELECT number FROM {schema}.session WHERE ended_at IS NULL AND expires_at <= p_now
        ORDER BY number LIMIT p_budget
    LOOP
        PERFORM {api}.end_session(p_now, v_session, true);
        v_handled := v_handled + 1;
    END LOOP;
    RETURN v_handled;
END
$$;

-- Forget theoretical arrival times that have passed: they say nothing any more.
CREATE FUNCTION {api}.drop_idle_rates(p_now bigint, p_budget integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM {schema}.rate WHERE arrival <= p_now) THEN
        DELETE FROM {schema}.rate WHERE gate = ANY (ARRAY(
            SELECT gate FROM {schema}.rate WHERE arrival <= p_now ORDER BY arrival, gate LIMIT p_budget
            FOR UPDATE SKIP LOCKED
        ));
    END IF;
END
$$;

-- All of a tick: how much was handled, and whether a budget ran out.
CREATE FUNCTION {api}.work_off(
    p_now bigint, p_exclusive boolean, p_budget integer, OUT handled bigint, OUT more boolean
) LANGUAGE plpgsql AS $$
DECLARE
    v_timers integer;
    v_sessions integer := 0;
    v_retained bigint;
BEGIN
    IF p_exclusive THEN
        v_timers := {api}.tick_timers(p_now, p_budget);
        v_sessions := {api}.tick_sessions(p_now, p_budget);
    ELSE
        v_timers := {api}.promote(p_now, p_budget);
        IF v_timers IS NULL
            OR EXISTS (SELECT FROM {schema}.session WHERE ended_at IS NULL AND expires_at <= p_now) THEN
            RAISE EXCEPTION USING ERRCODE = 'PN002', MESSAGE = 'something is due';
        END IF;
    END IF;
    v_retained := {api}.tick_retention(p_now, p_budget);
    PERFORM {api}.drop_idle_rates(p_now, p_budget);
    handled := v_timers + v_sessions + v_retained;
    more := v_timers >= p_budget OR v_sessions >= p_budget OR v_retained >= p_budget;
END
$$;

-- tick: do what is due within a budget for each kind.
CREATE FUNCTION {api}.tick(
    p_now bigint, p_exclusive boolean, p_budget integer, OUT handled bigint, OUT next_due bigint, OUT more boolean
) LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now bigint;
BEGIN
    PERFORM {api}.lock_app(p_exclusive);
    PERFORM FROM {api}.seal;
    v_now := {api}.clock(p_now);
    SELECT w.handled, w.more INTO handled, more FROM {api}.work_off(v_now, p_exclusive, p_budget) AS w;
    next_due := {api}.next_due(v_now);
END
$$;
