-- Sessions: proof of life, and what is known of them.

-- open_session: register a process incarnation under a number that was never used. On disk at once, whatever the level
-- of durability: a crash that took it back would have the number handed out again, to a second owner that no fence tells
-- from the first.
CREATE FUNCTION {api}.open_session(
    p_now bigint, p_info bytea, p_lease bigint, p_bell text, p_is_runner boolean, p_queues text[]
) RETURNS bigint LANGUAGE sql AS $$
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    INSERT INTO {schema}.session (number, info, lease, bell, is_runner, queues, opened_at, expires_at)
    SELECT nextval('{schema}.session_number'), p_info, p_lease, p_bell, p_is_runner, p_queues, now, now + p_lease
    FROM {api}.clock(p_now) AS now
    RETURNING number
$$;

-- close_session: end a session in good order: what it owns is READY again at once, uncounted. Exclusive.
CREATE FUNCTION {api}.close_session(p_now bigint, p_session bigint) RETURNS void LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    IF EXISTS (SELECT FROM {schema}.session WHERE number = p_session AND ended_at IS NULL) THEN
        PERFORM {api}.end_session({api}.clock(p_now), p_session, false);
    END IF;
END
$$;

CREATE VIEW {api}.session_row AS
    SELECT number, info, opened_at, expires_at, ended_at,
        (SELECT count(*) FROM {schema}.live WHERE owner = number) AS owned,
        (SELECT count(*) FROM {schema}.live WHERE owner = number AND state = 2) AS running,
        is_runner, queues
    FROM {schema}.session;

CREATE FUNCTION {api}.list_sessions(p_now bigint, p_live_only boolean) RETURNS SETOF {api}.session_row
LANGUAGE sql STABLE AS $$
    SELECT * FROM {api}.session_row
    WHERE (ended_at IS NULL OR NOT p_live_only) AND NOT EXISTS (SELECT FROM {api}.seal) ORDER BY number
$$;

CREATE FUNCTION {api}.listeners(p_queue text) RETURNS SETOF {api}.session_row LANGUAGE sql STABLE AS $$
    SELECT * FROM {api}.session_row
    WHERE ended_at IS NULL AND is_runner AND {api}.serves(queues, p_queue) ORDER BY number
$$;

CREATE FUNCTION {api}.list_owned(p_now bigint, p_session bigint)
RETURNS TABLE (id bytea, epoch bigint, state smallint, cancel_requested boolean) LANGUAGE sql STABLE AS $$
    SELECT id, epoch, state, cancel_requested FROM {schema}.live
    WHERE owner = p_session AND NOT EXISTS (SELECT FROM {api}.seal) ORDER BY id
$$;

-- end_leases: let every live session count as expired, as if its process had been silent for long: for tests.
CREATE FUNCTION {api}.end_leases(p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.session SET expires_at = least(expires_at, {api}.clock(p_now)) WHERE ended_at IS NULL;
END
$$;
