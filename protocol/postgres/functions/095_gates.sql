-- What people do to gates, and what there is to tell of them.

CREATE FUNCTION {api}.gate_flag(p_id bytea) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN gates IS NULL AND flow IS NULL THEN 0 ELSE 2 END FROM {schema}.call WHERE id = p_id
$$;

-- The gate before which a lane waits; NULL: none.
CREATE FUNCTION {api}.parked_before(p_lane bytea) RETURNS text LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    RETURN (SELECT parked FROM {schema}.lane WHERE key = p_lane);
END
$$;

-- put_gate: let a setting hold instead of what submissions say. Exclusive.
CREATE FUNCTION {api}.put_gate(p_now bigint, p_name text, p_most bigint, p_more bigint) RETURNS void LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    INSERT INTO {schema}.setting VALUES (p_name, p_most, p_more)
    ON CONFLICT (name) DO UPDATE SET most = excluded.most, more = excluded.more;
    PERFORM {api}.activate({api}.clock(p_now), p_name);
END
$$;

-- clear_gate: let submissions decide again. Exclusive. Reply: whether there was a setting.
CREATE FUNCTION {api}.clear_gate(p_now bigint, p_name text) RETURNS boolean LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    PERFORM {api}.lock_app(true);
    PERFORM FROM {api}.seal;
    DELETE FROM {schema}.setting WHERE name = p_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM {api}.activate({api}.clock(p_now), p_name);
    RETURN true;
END
$$;

CREATE FUNCTION {api}.list_gates(p_now bigint) RETURNS SETOF {schema}.setting LANGUAGE sql STABLE AS $$
    SELECT * FROM {schema}.setting WHERE NOT EXISTS (SELECT FROM {api}.seal) ORDER BY name
$$;

-- Forget what some of these have of gates, which are about to be forgotten themselves, and let out whoever waited for it.
CREATE FUNCTION {api}.purge_gated(p_now bigint, p_ids bytea[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_number bigint;
    v_lanes bytea[];
    v_gates text[];
    v_gate text;
    v_lane {schema}.lane%ROWTYPE;
BEGIN
    WITH gone AS (
        DELETE FROM {schema}.live WHERE id = ANY (p_ids) AND flags & 2 <> 0 RETURNING lane, trial
    )
    SELECT count(*), array_agg(DISTINCT lane), array_agg(DISTINCT trial) INTO v_number, v_lanes, v_gates FROM gone;
    IF v_number = 0 THEN
        RETURN;
    END IF;
    FOR v_lane IN SELECT * FROM {schema}.lane WHERE key = ANY (v_lanes) LOOP
        IF {api}.leave_lane(v_lane, v_lane.first) THEN
            v_gates := v_gates || v_lane.trial || v_lane.parked;
        END IF;
    END LOOP;
    WITH freed AS (
        DELETE FROM {schema}.unit WHERE ctid = ANY (ARRAY(
            SELECT u.place FROM unnest(p_ids) AS i (id)
            CROSS JOIN LATERAL (SELECT gates FROM {schema}.call WHERE id = i.id OFFSET 0) AS c
            CROSS JOIN LATERAL unnest(c.gates) AS g
            CROSS JOIN LATERAL (SELECT ctid AS place FROM {schema}.unit WHERE gate = g.name AND id = i.id OFFSET 0) AS u
        )) RETURNING gate
    )
    SELECT v_gates || array_agg(gate) INTO v_gates FROM freed;
    DELETE FROM {schema}.kin WHERE id = ANY (p_ids);
    FOR v_gate IN SELECT DISTINCT gate FROM unnest(v_gates) AS gate WHERE gate IS NOT NULL ORDER BY gate LOOP
        PERFORM {api}.activate(p_now, v_gate);
    END LOOP;
END
$$;

-- Forget everything about gates but what was set; nothing that has any is left.
CREATE FUNCTION {api}.forget_gates() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {schema}.lane;
    DELETE FROM {schema}.share;
    DELETE FROM {schema}.flow_time;
    DELETE FROM {schema}.unit;
    DELETE FROM {schema}.kin;
    DELETE FROM {schema}.rate;
    DELETE FROM {schema}.breaker;
    DELETE FROM {schema}.gate_timer;
    DELETE FROM {schema}.meta WHERE name = 'gates';
END
$$;

-- How each gate stands for one invocation, by name, with the first so many who are inside.
CREATE FUNCTION {api}.gate_facts(p_now bigint, p_id bytea, p_most integer) RETURNS TABLE (
    name text, closed boolean, parked boolean, most bigint, explicit boolean, holders jsonb, holders_total bigint,
    opens_at bigint, failures bigint, open_since bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_now bigint := {api}.clock(p_now);
    r record;
    g {schema}.gate;
BEGIN
    SELECT c.gates, c.parent, l.id AS live, l.lane, coalesce(a.parked, l.parked) AS parked, a.lenders INTO r
    FROM {schema}.call c JOIN {schema}.live l ON l.id = c.id LEFT JOIN {schema}.lane a ON a.key = l.lane
    WHERE c.id = p_id AND NOT EXISTS (SELECT FROM {api}.seal);
    IF NOT FOUND OR r.gates IS NULL THEN
        RETURN;
    END IF;
    IF r.lane IS NULL THEN
        r.lenders := {api}.lenders_of(r.parent, r.gates);
    END IF;
    FOREACH g IN ARRAY r.gates LOOP
        name := g.name;
        closed := NOT (r.lane IS NULL AND g.kind = 0
            AND EXISTS (SELECT FROM {schema}.unit u WHERE u.gate = g.name AND u.id = p_id))
            AND {api}.stops(v_now, p_id, g, r.lenders);
        parked := r.parked IS NOT DISTINCT FROM g.name;
        most := CASE WHEN g.kind = 0 THEN {api}.limit_of(g) END;
        explicit := EXISTS (SELECT FROM {schema}.setting s WHERE s.name = g.name);
        opens_at := {api}.opens_at(g);
        IF NOT closed OR opens_at <= v_now THEN
            opens_at := NULL;
        END IF;
        failures := 0;
        open_since := NULL;
        SELECT b.failures, b.open_since INTO failures, open_since FROM {schema}.breaker b WHERE b.gate = g.name;
        failures := coalesce(failures, 0);
        SELECT count(*) INTO holders_total FROM {schema}.unit u WHERE u.gate = g.name;
        SELECT jsonb_agg(jsonb_build_array(encode(h.id, 'hex'), h.task_id, h.since) ORDER BY h.since, h.id) INTO holders FROM (
            SELECT u.id, c.task_id, u.since FROM {schema}.unit u JOIN {schema}.call c ON c.id = u.id
            WHERE u.gate = g.name ORDER BY u.since, u.id LIMIT p_most
        ) AS h;
        RETURN NEXT;
    END LOOP;
END
$$;

-- The rest of a dump that tells of gates: rows of JSON, each part by name.
CREATE FUNCTION {api}.dump_gates(p_now bigint) RETURNS TABLE (part text, name text, facts jsonb) LANGUAGE sql STABLE AS $$
    SELECT 'lanes', encode(a.first, 'hex'), jsonb_build_object('members', (
        SELECT jsonb_agg(encode(l.id, 'hex') ORDER BY l.rank, l.id) FROM {schema}.live l WHERE l.lane = a.key
    ), 'parked', a.parked, 'trial', a.trial) FROM {schema}.lane a
    UNION ALL
    SELECT 'resumes', encode(id, 'hex'), jsonb_build_object('parked', parked, 'trial', trial) FROM {schema}.live
    WHERE parked IS NOT NULL OR trial IS NOT NULL
    UNION ALL
    SELECT 'holders', gate, jsonb_object_agg(encode(id, 'hex'),
        jsonb_build_object('since_us', since, 'limit', most, 'lenders',
            to_jsonb(ARRAY(SELECT encode(each, 'hex') FROM unnest(lenders) WITH ORDINALITY AS l (each, place) ORDER BY place))))
    FROM {schema}.unit GROUP BY gate
    UNION ALL
    SELECT 'rates', gate, to_jsonb(arrival) FROM {schema}.rate WHERE arrival > {api}.clock(p_now)
    UNION ALL
    SELECT 'breakers', gate,
        jsonb_build_object('failures', failures, 'open_since_us', open_since, 'open_until_us', open_until)
    FROM {schema}.breaker
    UNION ALL
    SELECT 'flows', s.queue, jsonb_build_object('virtual', (
        SELECT moment FROM {schema}.flow_time t WHERE t.queue = s.queue
    ), 'tags', jsonb_object_agg(s.flow, s.tag)) FROM {schema}.share s GROUP BY s.queue
    UNION ALL
    SELECT 'timers', gate, to_jsonb(due) FROM {schema}.gate_timer
    ORDER BY 1, 2
$$;
