-- suspend, as a part of exchange: check and register as one unit.

-- The cycle that a waiter would close by waiting for these: a walk over those that wait for it, and theirs.
CREATE FUNCTION {api}.cycle_of(p_waiter bytea, p_waited bytea[]) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
    v_frontier bytea[] := ARRAY[p_waiter];
    v_towards bytea[] := ARRAY[NULL::bytea];
    v_place integer := 1;
    v_upstream bytea;
    v_path bytea[];
    v_at bytea;
BEGIN
    IF p_waiter = ANY (p_waited) THEN
        RETURN ARRAY[p_waiter, p_waiter];
    END IF;
    WHILE v_place <= cardinality(v_frontier) LOOP
        FOR v_upstream IN SELECT waiter FROM {schema}.wait WHERE waited = v_frontier[v_place] ORDER BY waiter LOOP
            CONTINUE WHEN v_upstream = ANY (v_frontier);
            v_frontier := array_append(v_frontier, v_upstream);
            v_towards := array_append(v_towards, v_frontier[v_place]);
            IF v_upstream = ANY (p_waited) THEN
                v_path := ARRAY[p_waiter];
                v_at := v_upstream;
                WHILE v_at IS NOT NULL LOOP
                    v_path := array_append(v_path, v_at);
                    v_at := v_towards[array_position(v_frontier, v_at)];
                END LOOP;
                RETURN v_path;
            END IF;
        END LOOP;
        v_place := v_place + 1;
    END LOOP;
    RETURN NULL;
END
$$;

-- Suspend a run that its session owns, until enough of what it names is final; the verdict, and ids that explain it.
CREATE FUNCTION {api}.suspend(
    p_now bigint, p_run {schema}.live, p_ran bigint, p_worker bigint, p_waits bytea, p_need integer, p_timeout bigint,
    p_inherits boolean, OUT verdict integer, OUT ids bytea[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_waits bytea[] := {api}.split_ids(p_waits);
    v_awaited bytea[];
    v_final bytea[];
    v_need integer;
BEGIN
    ids := '{}';
    IF p_run.state <> 2 THEN
        verdict := 0;
        RETURN;
    END IF;
    SELECT coalesce(array_agg(w.id ORDER BY place) FILTER (WHERE l.id IS NOT NULL), '{}'),
        coalesce(array_agg(w.id ORDER BY place) FILTER (WHERE o.id IS NOT NULL), '{}'),
        (array_agg(w.id ORDER BY place) FILTER (WHERE l.id IS NULL AND o.id IS NULL))[1:1]
    INTO v_awaited, v_final, ids
    FROM unnest(v_waits) WITH ORDINALITY AS w (id, place)
    LEFT JOIN {schema}.live l ON l.id = w.id LEFT JOIN {schema}.outcome o ON o.id = w.id;
    IF cardinality(ids) > 0 THEN
        verdict := 5;
        RETURN;
    END IF;
    v_need := coalesce(nullif(least(p_need, cardinality(v_waits)), 0), cardinality(v_waits));
    IF cardinality(v_final) >= v_need THEN
        verdict := 3;
        ids := v_final;
        RETURN;
    END IF;
    ids := {api}.cycle_of(p_run.id, v_awaited);
    IF ids IS NOT NULL THEN
        verdict := 4;
        RETURN;
    END IF;
    ids := '{}';
    verdict := 0;
    PERFORM {api}.note_run(p_now, p_run.id, p_ran, p_worker);
    IF p_run.cancel_requested THEN
        PERFORM {api}.notify_cancel(p_run.id, 'cancelled while running');
        PERFORM {api}.end_run(p_now, p_run.id, 'cancelled', '', 'cancelled while running', 0);
        RETURN;
    END IF;
    PERFORM {api}.add_edges(p_run.id, v_awaited);
    UPDATE {schema}.live SET waits = p_waits, need_left = v_need - cardinality(v_final), state = 3, expires_at = NULL,
        suspended_at = p_now, wait_until = p_now + p_timeout
    WHERE id = p_run.id;
    IF p_run.flags & 2 <> 0 THEN
        PERFORM {api}.suspend_gated(p_now, p_run.id);
    END IF;
    IF p_inherits THEN
        PERFORM {api}.inherit(p_now, p_run.rank, v_awaited);
    END IF;
END
$$;

-- Move what nobody runs yet before a waiter of this rank: what it waits for, and what that waits for in turn; as many as 256
-- are looked at.
CREATE FUNCTION {api}.inherit(p_now bigint, p_rank bigint, p_awaited bytea[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_rank bigint := greatest(0, p_rank - 1);
    v_found bytea[] := p_awaited;
    v_place integer := 1;
    r {schema}.live%ROWTYPE;
BEGIN
    WHILE v_place <= least(cardinality(v_found), 256) LOOP
        SELECT * INTO r FROM {schema}.live WHERE id = v_found[v_place];
        -- An ordering key says that it overtakes nothing.
        IF r.owner IS NULL AND r.rank > v_rank AND (r.flags & 2 = 0 OR NOT EXISTS (
            SELECT FROM {schema}.call c, unnest(c.gates) AS g WHERE c.id = r.id AND g.block
        )) THEN
            IF r.lane IS NOT NULL THEN
                PERFORM {api}.withdraw(p_now, r);
            END IF;
            UPDATE {schema}.live SET rank = v_rank WHERE id = r.id;
            IF r.state = 1 THEN
                PERFORM {api}.queue_up(p_now, r);
            END IF;
        END IF;
        v_found := v_found || ARRAY(
            SELECT waited FROM {schema}.wait WHERE waiter = r.id AND waited <> ALL (v_found) ORDER BY waited);
        v_place := v_place + 1;
    END LOOP;
END
$$;

-- Note that an invocation waits for these live ones.
CREATE FUNCTION {api}.add_edges(p_waiter bytea, p_waited bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.wait SELECT p_waiter, unnest(p_waited);
    UPDATE {schema}.live SET flags = flags | 1 WHERE id = ANY (p_waited) AND flags & 1 = 0;
END
$$;

-- Note when and where a body began that its owner reports on now; what was reported before stays.
CREATE FUNCTION {api}.note_run(p_now bigint, p_id bytea, p_ran bigint, p_worker bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.live SET
        started_at = CASE WHEN started_at IS NULL AND p_ran > 0
            THEN greatest(coalesce(claimed_at, p_now), p_now - p_ran) ELSE started_at END,
        worker = CASE WHEN p_worker <> 0 THEN p_worker ELSE worker END
    WHERE id = p_id;
END
$$;
