-- Claims where lanes are: token by token, alone.

-- Whether claims from these queues can meet a lane.
CREATE FUNCTION {api}.has_tokens(p_queues text[], p_awaited boolean) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_awaited THEN
        RETURN EXISTS (SELECT FROM {schema}.live WHERE queue = ANY (p_queues) AND lane IS NOT NULL AND state = 1);
    END IF;
    RETURN EXISTS (SELECT FROM {schema}.lane WHERE queue = ANY (p_queues) AND parked IS NULL AND flow IS NULL)
        OR EXISTS (SELECT FROM {schema}.share WHERE queue = ANY (p_queues));
END
$$;

-- The first token of any lane of these queues: its place among the ranks, and the invocation.
CREATE FUNCTION {api}.first_token(p_queues text[], OUT place bigint, OUT id bytea) LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT t.place, t.first INTO place, id FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
        (SELECT l.rank AS place, l.first FROM {schema}.lane l
        WHERE l.queue = q.name AND l.parked IS NULL AND l.flow IS NULL ORDER BY l.queue, l.rank, l.first LIMIT 1)
        UNION ALL
        (SELECT s.place, s.first FROM {schema}.share s WHERE s.queue = q.name ORDER BY s.queue, s.place, s.first LIMIT 1)
    ) AS t ORDER BY t.place, t.first LIMIT 1;
END
$$;

-- READY invocations without gates that come before a token (NULL: there is none), up to the first that should have started
-- before now; that one instead, if it is the first of all.
CREATE FUNCTION {api}.plain_before(
    p_now bigint, p_queues text[], p_place bigint, p_id bytea, p_want integer,
    OUT ids bytea[], OUT late bytea, OUT keyed boolean, OUT ranks bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    ids := '{}';
    ranks := '{}';
    keyed := false;
    FOR r IN
        SELECT head.* FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
            SELECT l.id, l.rank, l.expires_at, l.key FROM {schema}.live l
            WHERE l.queue = q.name AND l.state = 1 AND l.owner IS NULL AND l.lane IS NULL
                AND (p_place IS NULL OR (l.rank, l.id) < (p_place, p_id))
            ORDER BY l.queue, l.rank, l.id LIMIT p_want FOR UPDATE SKIP LOCKED
        ) AS head ORDER BY head.rank, head.id LIMIT p_want
    LOOP
        IF r.expires_at <= p_now THEN
            late := r.id;
            RETURN;
        END IF;
        ids := array_append(ids, r.id);
        ranks := array_append(ranks, r.rank);
        keyed := keyed OR r.key IS NOT NULL;
    END LOOP;
END
$$;

-- What a claim does with the first of a lane: 0 claimed, 3 ended (rejected), 1 stopped by `gate`, which parks.
CREATE FUNCTION {api}.try_member(p_now bigint, p_session bigint, p_run {schema}.live, p_lane {schema}.lane,
    OUT verdict integer, OUT gate text) LANGUAGE plpgsql AS $$
DECLARE
    v_gates {schema}.gate[] := {api}.gates_of(p_run.id);
    g {schema}.gate := {api}.closed_gate(p_now, p_run.id, v_gates, p_lane.lenders);
BEGIN
    IF g.name IS NULL THEN
        verdict := 0;
        UPDATE {schema}.live SET state = 2, owner = p_session, worker = 0, epoch = epoch + 1, attempt = attempt + 1,
            claimed_at = p_now, started_at = NULL, lane = NULL
        WHERE id = p_run.id;
        PERFORM {api}.start_gated(p_now, p_run.id, v_gates, p_lane);
        IF p_run.key IS NOT NULL AND p_run.key_phase = 0 THEN
            DELETE FROM {schema}.dedupe WHERE key = p_run.key AND id = p_run.id;
        END IF;
    ELSIF g.mode = 1 THEN
        verdict := 3;
        PERFORM {api}.end_run(p_now, p_run.id, 'concurrency_controlled_final', '', g.name || ' was closed', 0);
    ELSE
        verdict := 1;
        gate := g.name;
    END IF;
END
$$;

-- Who has to go first for this one to come: with an ordering key the first of its lane.
CREATE FUNCTION {api}.in_turn(p_run {schema}.live) RETURNS {schema}.live LANGUAGE plpgsql STABLE AS $$
DECLARE
    r {schema}.live%ROWTYPE;
BEGIN
    IF NOT EXISTS (SELECT FROM unnest({api}.gates_of(p_run.id)) AS g WHERE g.kind = 0 AND g.block) THEN
        RETURN p_run;
    END IF;
    SELECT * INTO r FROM {schema}.live
    WHERE id = (SELECT first FROM {schema}.lane WHERE key = p_run.lane);
    RETURN r;
END
$$;

-- Claim one member of a lane by its id: 0 claimed, 1 busy, 3 ended.
CREATE FUNCTION {api}.claim_member(p_now bigint, p_session bigint, p_run {schema}.live) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_first {schema}.live%ROWTYPE := {api}.in_turn(p_run);
    v_lane {schema}.lane%ROWTYPE;
BEGIN
    IF v_first.id <> p_run.id THEN
        RETURN 1;
    END IF;
    SELECT * INTO v_lane FROM {schema}.lane WHERE key = p_run.lane;
    RETURN (SELECT verdict FROM {api}.try_member(p_now, p_session, p_run, v_lane));
END
$$;

-- Claim in the order of ranks and of the tokens of lanes; returns as well how many closed gates were met, at most 256.
CREATE FUNCTION {api}.claim_gated(
    p_now bigint, p_session bigint, p_queues text[], p_before bigint, p_awaited boolean, p_want integer,
    OUT taken bytea[], OUT looked integer
) LANGUAGE plpgsql AS $$
DECLARE
    v_token record;
    v_plain record;
    v_number integer;
    v_singly integer := 0;
    r {schema}.live%ROWTYPE;
    v_lane {schema}.lane%ROWTYPE;
    v_verdict record;
BEGIN
    IF p_awaited THEN
        SELECT a.taken, a.looked INTO taken, looked
        FROM {api}.claim_gated_awaited(p_now, p_session, p_queues, p_before, p_want) AS a;
        RETURN;
    END IF;
    taken := '{}';
    looked := 0;
    WHILE cardinality(taken) < p_want AND looked < 256 LOOP
        -- As many at once as may be; where that is few, the next ones are looked at one by one.
        IF p_before IS NULL AND v_singly <= 0 THEN
            v_number := cardinality(taken) + looked;
            taken := taken || {api}.claim_apart(p_now, p_session, p_queues, p_want - cardinality(taken));
            IF cardinality(taken) < p_want THEN
                looked := looked + {api}.park_apart(p_now, p_queues, least(256 - looked, 64));
            END IF;
            v_singly := CASE WHEN cardinality(taken) + looked - v_number < 4 THEN 8 ELSE 0 END;
            CONTINUE;
        END IF;
        v_singly := v_singly - 1;
        v_token := {api}.first_token(p_queues);
        v_plain := {api}.plain_before(p_now, p_queues, v_token.place, v_token.id, p_want - cardinality(taken));
        v_number := (SELECT count(*) FROM unnest(v_plain.ranks) AS rank WHERE p_before IS NULL OR rank < p_before);
        IF v_number > 0 THEN
            PERFORM {api}.take(p_now, p_session, v_plain.ids[1:v_number], v_plain.keyed);
            taken := taken || v_plain.ids[1:v_number];
        END IF;
        EXIT WHEN v_number < cardinality(v_plain.ids);
        IF v_plain.late IS NOT NULL THEN
            EXIT WHEN p_before <= (SELECT rank FROM {schema}.live WHERE id = v_plain.late);
            PERFORM {api}.expire(p_now, v_plain.late);
            CONTINUE;
        END IF;
        EXIT WHEN v_token.id IS NULL OR cardinality(taken) >= p_want;
        SELECT * INTO r FROM {schema}.live WHERE id = v_token.id;
        EXIT WHEN r.rank >= p_before;
        IF r.expires_at <= p_now THEN
            PERFORM {api}.expire(p_now, r.id);
            CONTINUE;
        END IF;
        SELECT * INTO v_lane FROM {schema}.lane WHERE key = r.lane;
        v_verdict := {api}.try_member(p_now, p_session, r, v_lane);
        IF v_verdict.verdict = 0 THEN
            taken := array_append(taken, r.id);
            CONTINUE;
        END IF;
        looked := looked + 1;
        IF v_verdict.verdict = 1 THEN
            PERFORM {api}.park(p_now, v_lane, v_verdict.gate);
        END IF;
    END LOOP;
    IF p_want > 0 AND cardinality(taken) = p_want THEN
        PERFORM {api}.wake_another(p_now, p_queues);
    END IF;
END
$$;

-- Wake one more session if a lane has more to claim: its token woke only the one that claims now.
CREATE FUNCTION {api}.wake_another(p_now bigint, p_queues text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_token record;
    v_plain record;
    r record;
BEGIN
    IF NOT EXISTS (SELECT FROM {schema}.sleeper) THEN
        RETURN;
    END IF;
    v_token := {api}.first_token(p_queues);
    IF v_token.id IS NULL THEN
        RETURN;
    END IF;
    v_plain := {api}.plain_before(p_now, p_queues, v_token.place, v_token.id, 1);
    IF cardinality(v_plain.ids) > 0 OR v_plain.late IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT c.queue, c.gates, l.lenders INTO r FROM {schema}.live v JOIN {schema}.call c ON c.id = v.id
    JOIN {schema}.lane l ON l.key = v.lane WHERE v.id = v_token.id;
    IF {api}.closed_gate(p_now, v_token.id, r.gates, r.lenders) IS NULL THEN
        PERFORM {api}.wake(r.queue);
    END IF;
END
$$;

-- The same among what somebody waits for, comes after, or submitted: whatever its place in its lane, but one with an
-- ordering key stands for the first of its lane. Closed gates park nothing.
CREATE FUNCTION {api}.claim_gated_awaited(
    p_now bigint, p_session bigint, p_queues text[], p_before bigint, p_want integer, OUT taken bytea[], OUT looked integer
) LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
    v_found {schema}.live%ROWTYPE;
    v_passed bytea[] := '{}';
    v_rank bigint;
    v_id bytea;
    v_verdict integer;
BEGIN
    taken := '{}';
    looked := 0;
    WHILE cardinality(taken) < p_want AND looked < 256 LOOP
        SELECT head.* INTO v_found FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
            (SELECT l.* FROM {schema}.live l
            WHERE l.queue = q.name AND l.state = 1 AND l.owner IS NULL AND l.lane IS NULL AND {api}.is_awaited(l.id)
            ORDER BY l.queue, l.rank, l.id LIMIT 1)
            UNION ALL
            (SELECT l.* FROM {schema}.live l
            WHERE l.queue = q.name AND l.lane IS NOT NULL AND l.state = 1
                AND (v_rank IS NULL OR (l.rank, l.id) > (v_rank, v_id))
                AND {api}.is_awaited(l.id) AND l.id <> ALL (v_passed)
            ORDER BY l.queue, l.rank, l.id LIMIT 1)
        ) AS head ORDER BY head.rank, head.id LIMIT 1;
        EXIT WHEN NOT FOUND OR v_found.rank >= p_before;
        r := CASE WHEN v_found.lane IS NULL THEN v_found ELSE {api}.in_turn(v_found) END;
        IF r.expires_at <= p_now THEN
            PERFORM {api}.expire(p_now, r.id);
            v_rank := NULL;
            CONTINUE;
        END IF;
        IF r.lane IS NULL THEN
            PERFORM {api}.take(p_now, p_session, ARRAY[r.id], r.key IS NOT NULL);
            v_verdict := 0;
        ELSE
            v_verdict := {api}.claim_member(p_now, p_session, r);
            looked := looked + (v_verdict <> 0)::integer;
        END IF;
        IF v_verdict = 0 THEN
            taken := array_append(taken, r.id);
        ELSIF v_verdict = 1 THEN
            -- Those that were passed over need not be looked at again, until an end lets others come before them.
            v_passed := array_append(v_passed, v_found.id);
            v_rank := v_found.rank;
            v_id := v_found.id;
        ELSE
            v_rank := NULL;
        END IF;
    END LOOP;
END
$$;
