-- Lanes: what is READY behind the same gates, and where the token of each lane is. The token of a lane is its first
-- member, by (rank, id). Which gates are open is the matter of 014_gating.sql. Only for operations that hold the app's
-- lock exclusively.

-- The living ancestors that keep a unit of the same slots while they wait: by gate, the nearest first. NULL: there are none.
CREATE FUNCTION {api}.lenders_of(p_parent bytea, p_gates {schema}.gate[]) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_names text[] := ARRAY(SELECT g.name FROM unnest(p_gates) AS g WHERE g.kind = 0);
    v_found jsonb := '{}';
    v_parent bytea := p_parent;
    c record;
    v_name text;
BEGIN
    FOR i IN 1 .. CASE WHEN cardinality(v_names) > 0 THEN 32 ELSE 0 END LOOP
        EXIT WHEN v_parent IS NULL;
        SELECT call.id, call.parent, CASE WHEN EXISTS (SELECT FROM {schema}.live WHERE live.id = call.id) THEN call.gates END
            AS gates
        INTO c FROM {schema}.call WHERE call.id = v_parent;
        EXIT WHEN NOT FOUND;
        FOR v_name IN SELECT g.name FROM unnest(c.gates) AS g WHERE g.kind = 0 AND g.hold AND g.name = ANY (v_names) LOOP
            v_found := v_found || jsonb_build_object(
                v_name, coalesce(v_found -> v_name, '[]') || to_jsonb(encode(c.id, 'hex')));
        END LOOP;
        v_parent := c.parent;
    END LOOP;
    RETURN nullif(v_found, '{}');
END
$$;

-- What a start of a flow costs, for the first one of it.
CREATE FUNCTION {api}.flow_cost(p_flow text, p_first bytea) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN 2520 / coalesce(
        (SELECT most FROM {schema}.setting WHERE name = 'flow:' || p_flow),
        (SELECT weight FROM {schema}.call WHERE id = p_first));
END
$$;

-- Put the token of a flow where its first lane says, or take it away.
CREATE FUNCTION {api}.place_share(p_queue text, p_flow text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_rank bigint;
    v_first bytea;
    v_tag bigint;
BEGIN
    SELECT rank, first INTO v_rank, v_first FROM {schema}.lane
    WHERE queue = p_queue AND flow = p_flow AND parked IS NULL ORDER BY rank, first LIMIT 1;
    IF NOT FOUND THEN
        DELETE FROM {schema}.share WHERE queue = p_queue AND flow = p_flow;
        IF NOT EXISTS (SELECT FROM {schema}.share WHERE queue = p_queue) THEN
            DELETE FROM {schema}.flow_time WHERE queue = p_queue;
        END IF;
        RETURN;
    END IF;
    SELECT tag INTO v_tag FROM {schema}.share WHERE queue = p_queue AND flow = p_flow;
    IF v_tag IS NULL THEN
        -- Virtual time begins behind the order of submission of plain work in the same band.
        v_tag := coalesce((SELECT moment FROM {schema}.flow_time WHERE queue = p_queue), 1::bigint << 43)
            + {api}.flow_cost(p_flow, v_first);
    END IF;
    INSERT INTO {schema}.share (queue, flow, tag, place, first)
    VALUES (p_queue, p_flow, v_tag, (v_rank >> 44 << 44) + least(v_tag, (1::bigint << 44) - 1), v_first)
    ON CONFLICT (queue, flow) DO UPDATE SET tag = excluded.tag, place = excluded.place, first = excluded.first;
END
$$;

-- Let virtual time go on because one of this flow starts; `place_share` gives the flow another tag.
CREATE FUNCTION {api}.spend_share(p_queue text, p_flow text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_tag bigint;
BEGIN
    SELECT tag INTO v_tag FROM {schema}.share WHERE queue = p_queue AND flow = p_flow AND tag IS NOT NULL;
    IF FOUND THEN
        INSERT INTO {schema}.flow_time AS t VALUES (p_queue, greatest(v_tag, 1::bigint << 43))
        ON CONFLICT (queue) DO UPDATE SET moment = greatest(t.moment, excluded.moment);
        UPDATE {schema}.share SET tag = NULL WHERE queue = p_queue AND flow = p_flow;
    END IF;
END
$$;

-- Queue a READY invocation that nobody owns in its lane, and wake somebody if claims find that. If it is parked, its new
-- first member may come before those that try the gate now.
CREATE FUNCTION {api}.enter_lane(p_now bigint, p_id bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c record;
    v_lenders jsonb;
    v_key bytea;
    v_rank bigint;
    v_lane {schema}.lane%ROWTYPE;
    v_placed boolean := true;
BEGIN
    SELECT queue, flow, gates, parent, lane INTO c FROM {schema}.call WHERE id = p_id;
    SELECT rank INTO v_rank FROM {schema}.live WHERE id = p_id;
    v_key := c.lane;
    IF c.parent IS NOT NULL THEN
        v_lenders := {api}.lenders_of(c.parent, c.gates);
        IF v_lenders IS NOT NULL THEN
            v_key := sha256(c.lane || convert_to(v_lenders::text, 'UTF8'));
        END IF;
    END IF;
    SELECT * INTO v_lane FROM {schema}.lane WHERE key = v_key;
    IF NOT FOUND THEN
        INSERT INTO {schema}.lane (key, queue, flow, lenders, rank, first)
        VALUES (v_key, c.queue, c.flow, v_lenders, v_rank, p_id) RETURNING * INTO v_lane;
        IF NOT EXISTS (SELECT FROM {schema}.meta WHERE name = 'gates') THEN
            INSERT INTO {schema}.meta VALUES ('gates', 'used');
        END IF;
    ELSIF (v_rank, p_id) < (v_lane.rank, v_lane.first) THEN
        UPDATE {schema}.lane SET rank = v_rank, first = p_id WHERE key = v_lane.key;
    ELSE
        v_placed := false;
    END IF;
    UPDATE {schema}.live SET lane = v_lane.key WHERE id = p_id;
    IF v_lane.parked IS NULL THEN
        IF v_placed AND v_lane.flow IS NOT NULL THEN
            PERFORM {api}.place_share(v_lane.queue, v_lane.flow);
        END IF;
        PERFORM {api}.wake(v_lane.queue);
    ELSIF v_placed THEN
        PERFORM {api}.activate(p_now, v_lane.parked);
    END IF;
END
$$;

-- Queue a READY invocation, in its lane if it has gates or a flow; either way somebody is woken for it.
CREATE FUNCTION {api}.queue_up(p_now bigint, p_run {schema}.live) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_run.flags & 2 = 0 THEN
        PERFORM {api}.wake(p_run.queue);
    ELSE
        PERFORM {api}.enter_lane(p_now, p_run.id);
    END IF;
END
$$;

-- After a member has left its lane (its row names it no more): put the token of the lane where it belongs, or let the lane
-- go. Returns whether it went.
CREATE FUNCTION {api}.leave_lane(p_lane {schema}.lane, p_id bytea) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_rank bigint;
    v_first bytea;
BEGIN
    IF p_lane.first <> p_id THEN
        RETURN false;
    END IF;
    SELECT rank, id INTO v_rank, v_first FROM {schema}.live WHERE lane = p_lane.key ORDER BY lane, rank, id LIMIT 1;
    IF v_first IS NOT NULL THEN
        UPDATE {schema}.lane SET rank = v_rank, first = v_first WHERE key = p_lane.key;
    ELSE
        DELETE FROM {schema}.lane WHERE key = p_lane.key;
        IF p_lane.lenders IS NOT NULL THEN
            DELETE FROM {schema}.kin WHERE lane = p_lane.key;
        END IF;
    END IF;
    IF p_lane.flow IS NOT NULL AND p_lane.parked IS NULL THEN
        PERFORM {api}.place_share(p_lane.queue, p_lane.flow);
    END IF;
    RETURN v_first IS NULL;
END
$$;

-- Note that a lane, or a resumable invocation, which is parked before a gate could pass it on the unit of a lender.
CREATE FUNCTION {api}.note_kin(p_gate text, p_lenders jsonb, p_lane bytea, p_id bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.kin
    SELECT decode(lender, 'hex'), p_gate, p_lane, p_id FROM jsonb_array_elements_text(p_lenders -> p_gate) AS lender;
END
$$;
