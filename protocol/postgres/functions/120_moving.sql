-- Moves to and from this store: the seal, and what is carried.
--
-- A sealed store has a row `sealed` in `meta` and a trigger on each table that says so to whoever writes, also to functions
-- of other releases and to transactions that see an older state; an open store has none, so it costs nothing. What only
-- reads, or changes nothing because it finds nothing, looks at the row (the view `seal`). The functions of a move
-- declare themselves with the setting `pynenc.moving`.
--
-- Only the owner of the tables may put triggers on them: whoever ran `pynenc migrate`.

-- Take everybody's turn, and refuse a move that was finished or taken back meanwhile.
CREATE FUNCTION {api}.require_seal(p_seal text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {api}.lock_app(true);
    IF p_seal IS DISTINCT FROM (SELECT value FROM {schema}.meta WHERE name = 'sealed') THEN
        RAISE EXCEPTION USING ERRCODE = 'PN004', MESSAGE = 'another seal is there';
    END IF;
END
$$;

CREATE FUNCTION {api}.sealed_tables() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['call', 'live', 'outcome', 'session', 'queue', 'data']
$$;

-- move_seal: refuse every operation from now on but those of a move, if that may be.
-- Reply: 'sealed'; 'changed' (the seal is not `p_instead`), 'busy' (a session is alive, or a transaction that writes is
-- open) or 'occupied' (it holds something), with nothing changed. The locks wait for whoever writes, so that all they wrote
-- is seen afterwards: also for transactions of users that submit, which take no lock of the app.
CREATE FUNCTION {api}.move_seal(
    p_now bigint, p_seal text, p_instead text, p_needs_silence boolean, p_needs_room boolean
) RETURNS text LANGUAGE plpgsql
SET pynenc.moving = 'on' SET lock_timeout = '5s' AS $$
DECLARE
    v_kept text;
    v_table text;
BEGIN
    PERFORM {api}.lock_app(true);
    FOREACH v_table IN ARRAY {api}.sealed_tables() LOOP
        EXECUTE format('LOCK TABLE {schema}.%I IN SHARE ROW EXCLUSIVE MODE', v_table);
    END LOOP;
    v_kept := coalesce((SELECT value FROM {schema}.meta WHERE name = 'sealed'), '');
    IF v_kept = p_seal THEN
        RETURN 'sealed';
    ELSIF v_kept <> p_instead THEN
        RETURN 'changed';
    ELSIF p_needs_silence AND EXISTS (SELECT FROM {schema}.session WHERE ended_at IS NULL) THEN
        RETURN 'busy';
    ELSIF p_needs_room AND (EXISTS (SELECT FROM {schema}.call) OR EXISTS (SELECT FROM {schema}.data)) THEN
        RETURN 'occupied';
    END IF;
    INSERT INTO {schema}.meta VALUES ('sealed', p_seal) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
    IF v_kept = '' THEN
        FOREACH v_table IN ARRAY {api}.sealed_tables() LOOP
            EXECUTE format('CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE ON {schema}.%I FOR EACH STATEMENT '
                'WHEN (current_setting(''pynenc.moving'', true) IS DISTINCT FROM ''on'') '
                'EXECUTE FUNCTION {schema}.refuse_sealed(%L)', v_table, p_seal);
        END LOOP;
    END IF;
    RETURN 'sealed';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'busy';
END
$$;

-- move_unseal: let everybody in again if this is the seal. Reply: whether the store is open now.
CREATE FUNCTION {api}.move_unseal(p_now bigint, p_seal text) RETURNS boolean LANGUAGE plpgsql
SET pynenc.moving = 'on' AS $$
DECLARE
    v_table text;
BEGIN
    PERFORM {api}.lock_app(true);
    DELETE FROM {schema}.meta WHERE name = 'sealed' AND value = p_seal;
    IF FOUND THEN
        FOREACH v_table IN ARRAY {api}.sealed_tables() LOOP
            EXECUTE format('DROP TRIGGER sealed ON {schema}.%I', v_table);
        END LOOP;
    END IF;
    RETURN NOT EXISTS (SELECT FROM {schema}.meta WHERE name = 'sealed');
END
$$;

-- move_survey: the seal, and how many invocations there are.
CREATE FUNCTION {api}.move_survey(p_now bigint) RETURNS TABLE (seal text, invocations bigint) LANGUAGE sql STABLE AS $$
    SELECT (SELECT value FROM {schema}.meta WHERE name = 'sealed'), (SELECT count(*) FROM {schema}.call)
$$;

-- move_sessions: those that are alive, or those that have ended.
CREATE FUNCTION {api}.move_sessions(p_now bigint, p_alive boolean) RETURNS SETOF {api}.session_row
LANGUAGE sql STABLE AS $$
    SELECT * FROM {api}.session_row WHERE (ended_at IS NULL) = p_alive ORDER BY number
$$;

-- move_header: the next number of the order of submission, the last session's, paused and used queues.
CREATE FUNCTION {api}.move_header(p_now bigint)
RETURNS TABLE (next_rank bigint, last_session bigint, paused jsonb, used text[]) LANGUAGE sql STABLE AS $$
    SELECT (SELECT last_value + is_called::integer FROM {schema}.rank_sequence),
        (SELECT last_value + is_called::integer - 1 FROM {schema}.session_number),
        (SELECT coalesce(jsonb_agg(jsonb_build_array(q.name, q.paused_by, q.pause_reason, q.paused_at) ORDER BY q.name COLLATE "C"),
            '[]') FROM {schema}.queue q WHERE q.paused),
        ARRAY(SELECT name FROM {schema}.queue q WHERE q.used ORDER BY name COLLATE "C")
$$;

-- move_gates: rates that are still to come, and breakers that are not at rest.
CREATE FUNCTION {api}.move_gates(p_now bigint)
RETURNS TABLE (name text, arrival bigint, failures bigint, open_since bigint, open_until bigint) LANGUAGE sql STABLE AS $$
    SELECT gate, arrival, NULL::bigint, NULL::bigint, NULL::bigint FROM {schema}.rate WHERE arrival > {api}.clock(p_now)
    UNION ALL
    SELECT gate, NULL, failures, open_since, open_until FROM {schema}.breaker
    ORDER BY 1
$$;

-- move_settings: what was set by hand.
CREATE FUNCTION {api}.move_settings(p_now bigint) RETURNS SETOF {schema}.setting LANGUAGE sql STABLE AS $$
    SELECT * FROM {schema}.setting ORDER BY name
$$;

-- move_gates_in: know settings, rates and breakers of the other store. Safe to repeat.
CREATE FUNCTION {api}.move_gates_in(p_now bigint, p_seal text, p_settings json, p_rates json, p_breakers json) RETURNS void
LANGUAGE plpgsql SET pynenc.moving = 'on' AS $$
BEGIN
    PERFORM {api}.require_seal(p_seal);
    INSERT INTO {schema}.setting SELECT * FROM json_populate_recordset(NULL::{schema}.setting, p_settings)
    ON CONFLICT (name) DO UPDATE SET most = excluded.most, more = excluded.more;
    INSERT INTO {schema}.rate AS r SELECT * FROM json_populate_recordset(NULL::{schema}.rate, p_rates)
    ON CONFLICT (gate) DO UPDATE SET arrival = greatest(r.arrival, excluded.arrival);
    INSERT INTO {schema}.breaker SELECT * FROM json_populate_recordset(NULL::{schema}.breaker, p_breakers)
    ON CONFLICT (gate) DO UPDATE
    SET failures = excluded.failures, open_since = excluded.open_since, open_until = excluded.open_until;
END
$$;

-- move_header_in: go on with numbers where the other store stopped; know its queues and its ended sessions, which come as
-- rows in JSON. Safe to repeat.
CREATE FUNCTION {api}.move_header_in(
    p_now bigint, p_seal text, p_next_rank bigint, p_last_session bigint, p_paused json, p_used text[], p_sessions json
) RETURNS void LANGUAGE plpgsql SET pynenc.moving = 'on' AS $$
DECLARE
    r record;
BEGIN
    PERFORM {api}.require_seal(p_seal);
    SELECT * INTO r FROM {api}.move_header(p_now);
    PERFORM setval('{schema}.rank_sequence', greatest(p_next_rank, r.next_rank), false);
    PERFORM setval('{schema}.session_number', greatest(p_last_session, r.last_session) + 1, false);
    INSERT INTO {schema}.queue (name, used) SELECT unnest(p_used), true ON CONFLICT (name) DO UPDATE SET used = true;
    INSERT INTO {schema}.queue (name, paused, paused_by, pause_reason, paused_at)
    SELECT name, true, paused_by, pause_reason, paused_at FROM json_populate_recordset(NULL::{schema}.queue, p_paused)
    ON CONFLICT (name) DO UPDATE SET paused = true, paused_by = excluded.paused_by,
        pause_reason = excluded.pause_reason, paused_at = excluded.paused_at;
    INSERT INTO {schema}.session (number, info, lease, bell, is_runner, queues, opened_at, expires_at, ended_at)
    SELECT number, info, lease, bell, is_runner, queues, opened_at, expires_at, ended_at
    FROM json_populate_recordset(NULL::{schema}.session, p_sessions)
    ON CONFLICT (number) DO NOTHING;
END
$$;

-- move_out: the next invocations by id, with what their snapshots do not tell: the key only of its holder, those that it
-- comes after laid end to end, the units that they keep.
CREATE FUNCTION {api}.move_out(p_now bigint, p_after bytea, p_budget integer) RETURNS TABLE (
    id bytea, band bigint, retention bigint, max_crashes integer, after_policy smallint, key bytea, key_phase smallint,
    key_mode smallint, key_hash bytea, key_window bigint, edges bytea, units jsonb
) LANGUAGE sql STABLE AS $$
    SELECT c.id, coalesce(l.rank >> 44, o.band), CASE WHEN l.id IS NULL THEN o.retention ELSE l.retention END,
        coalesce(l.max_crashes, o.max_crashes), coalesce(l.after_policy, 0::smallint), d.key,
        coalesce(l.key_phase, o.key_phase), d.mode, d.hash, coalesce(d.until - c.created_at, 0),
        (SELECT string_agg(w.waited, ''::bytea ORDER BY w.waited) FROM {schema}.wait w WHERE w.waiter = c.id),
        (SELECT jsonb_agg(jsonb_build_array(u.gate, u.since, u.most) ORDER BY u.gate)
        FROM unnest(c.gates) AS g JOIN {schema}.unit u ON u.gate = g.name AND u.id = c.id)
    FROM (
        SELECT call.id, call.created_at, call.gates FROM {schema}.call WHERE p_after IS NULL OR call.id > p_after ORDER BY call.id LIMIT p_budget
    ) AS c
    LEFT JOIN {schema}.live l ON l.id = c.id
    LEFT JOIN {schema}.outcome o ON o.id = c.id
    LEFT JOIN {schema}.dedupe d ON d.key = coalesce(l.key, o.key) AND d.id = c.id
    ORDER BY c.id
$$;

CREATE FUNCTION {api}.move_snapshots(p_now bigint, p_ids bytea[]) RETURNS SETOF {api}.snapshot LANGUAGE plpgsql STABLE
SET pynenc.moving = 'on' AS $$
BEGIN
    RETURN QUERY SELECT * FROM {api}.snapshots(p_now, p_ids);
END
$$;

-- move_in: keep invocations of another store as they are; those that are known are passed over. They come as the rows of
-- each table, in JSON. All or none; safe to repeat.
CREATE FUNCTION {api}.move_in(
    p_now bigint, p_seal text, p_calls json, p_lives json, p_outcomes json, p_attempts json, p_progress json,
    p_waits json, p_keys json, p_units json
) RETURNS void LANGUAGE plpgsql SET pynenc.moving = 'on' AS $$
DECLARE
    v_fresh bytea[];
    v_id bytea;
BEGIN
    PERFORM {api}.require_seal(p_seal);
    WITH fresh AS (
        INSERT INTO {schema}.call SELECT * FROM json_populate_recordset(NULL::{schema}.call, p_calls)
        ON CONFLICT (id) DO NOTHING RETURNING id
    )
    SELECT coalesce(array_agg(id), '{}') INTO v_fresh FROM fresh;
    INSERT INTO {schema}.queue (name, used)
    SELECT DISTINCT queue, true FROM json_populate_recordset(NULL::{schema}.call, p_calls)
    ON CONFLICT (name) DO UPDATE SET used = true;
    INSERT INTO {schema}.live (id, queue, rank, registered_at, retention, max_crashes, state, reason, epoch, attempt,
        crashes, worker, need_left, not_before, expires_at, wait_until, cancel_requested, claimed_at, started_at,
        suspended_at, flags, key, key_phase, after_policy)
    SELECT id, queue, rank, registered_at, retention, max_crashes, state, reason, epoch, attempt,
        crashes, worker, need_left, not_before, expires_at, wait_until, cancel_requested, claimed_at, started_at,
        suspended_at, flags, key, key_phase, after_policy
    FROM json_populate_recordset(NULL::{schema}.live, p_lives) WHERE id = ANY (v_fresh);
    INSERT INTO {schema}.outcome
    SELECT * FROM json_populate_recordset(NULL::{schema}.outcome, p_outcomes) WHERE id = ANY (v_fresh);
    INSERT INTO {schema}.attempt
        (id, number, epoch, reason, session, worker, claimed_at, started_at, ended_at, error, detail, suspended_at)
    SELECT id, number, epoch, reason, session, worker, claimed_at, started_at, ended_at, error, detail, suspended_at
    FROM json_populate_recordset(NULL::{schema}.attempt, p_attempts) WHERE id = ANY (v_fresh) ORDER BY position;
    INSERT INTO {schema}.progress
    SELECT * FROM json_populate_recordset(NULL::{schema}.progress, p_progress) WHERE id = ANY (v_fresh);
    INSERT INTO {schema}.wait
    SELECT * FROM json_populate_recordset(NULL::{schema}.wait, p_waits) WHERE waiter = ANY (v_fresh);
    INSERT INTO {schema}.dedupe
    SELECT * FROM json_populate_recordset(NULL::{schema}.dedupe, p_keys) WHERE id = ANY (v_fresh);
    INSERT INTO {schema}.unit
    SELECT * FROM json_populate_recordset(NULL::{schema}.unit, p_units) WHERE id = ANY (v_fresh);
    FOR v_id IN
        SELECT id FROM {schema}.live WHERE id = ANY (v_fresh) AND state = 1 AND flags & 2 <> 0 ORDER BY id
    LOOP
        PERFORM {api}.enter_lane({api}.clock(p_now), v_id);
    END LOOP;
END
$$;

-- move_data_out: the next client data by key.
CREATE FUNCTION {api}.move_data_out(p_now bigint, p_after bytea, p_budget integer) RETURNS SETOF {schema}.data
LANGUAGE sql STABLE AS $$
    SELECT * FROM {schema}.data WHERE p_after IS NULL OR key > p_after ORDER BY key LIMIT p_budget
$$;

-- move_data_in: keep client data of another store, each with its age.
CREATE FUNCTION {api}.move_data_in(p_now bigint, p_seal text, p_keys bytea[], p_bodies bytea[], p_written bigint[])
RETURNS void LANGUAGE plpgsql SET pynenc.moving = 'on' AS $$
BEGIN
    PERFORM {api}.require_seal(p_seal);
    INSERT INTO {schema}.data SELECT * FROM unnest(p_keys, p_bodies, p_written)
    ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at;
END
$$;

-- move_clear: forget a part of everything but the seal; called until it says 0.
CREATE FUNCTION {api}.move_clear(p_now bigint, p_seal text, p_budget integer) RETURNS bigint LANGUAGE plpgsql
SET pynenc.moving = 'on' AS $$
DECLARE
    v_more boolean;
BEGIN
    PERFORM {api}.require_seal(p_seal);
    SELECT more INTO v_more FROM {api}.purge_all(p_now, p_budget);
    IF NOT v_more THEN
        DELETE FROM {schema}.session;
        DELETE FROM {schema}.queue;
        DELETE FROM {schema}.setting;
    END IF;
    RETURN v_more::integer;
END
$$;
