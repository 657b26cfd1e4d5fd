-- Gates: how each one stands, and who is let out to try when one opens: at most 32 lanes of a queue, and as many resumable
-- invocations. Only for operations that hold the app's lock exclusively, but for what only looks.

-- --- how a gate stands ---

CREATE FUNCTION {api}.limit_of(p_gate {schema}.gate) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT most FROM {schema}.setting WHERE name = p_gate.name), p_gate.most);
END
$$;

-- Interval and burst of a rate; a burst that no number could count to is as good as the highest one.
CREATE FUNCTION {api}.rate_of(p_gate {schema}.gate, OUT pace bigint, OUT burst bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT most, more INTO pace, burst FROM {schema}.setting WHERE name = p_gate.name;
    IF NOT FOUND THEN
        pace := p_gate.most;
        burst := p_gate.more;
    END IF;
    burst := least(burst, 4000000000000000000 / pace);
END
$$;

-- The theoretical arrival time of a rate.
CREATE FUNCTION {api}.arrival_of(p_name text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT arrival FROM {schema}.rate WHERE gate = p_name), 0);
END
$$;

-- How many more may pass now, were nobody waiting.
CREATE FUNCTION {api}.room(p_now bigint, p_gate {schema}.gate) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_pace bigint;
    v_burst bigint;
    v_until bigint;
BEGIN
    IF p_gate.kind = 0 THEN
        RETURN (SELECT coalesce((SELECT most FROM {schema}.setting WHERE name = p_gate.name), p_gate.most)
            - (SELECT count(*) FROM {schema}.unit WHERE gate = p_gate.name));
    ELSIF p_gate.kind = 1 THEN
        SELECT r.pace, r.burst INTO v_pace, v_burst FROM {api}.rate_of(p_gate) AS r;
        RETURN (p_now + v_burst * v_pace - greatest({api}.arrival_of(p_gate.name), p_now)) / v_pace;
    END IF;
    v_until := (SELECT open_until FROM {schema}.breaker WHERE gate = p_gate.name);
    IF v_until IS NULL THEN
        RETURN 32;
    ELSIF p_now < v_until THEN
        RETURN 0;
    END IF;
    RETURN 1 - (SELECT count(*) FROM {schema}.unit WHERE gate = p_gate.name);
END
$$;

-- When time alone opens a gate; NULL: time has no part in it.
CREATE FUNCTION {api}.opens_at(p_gate {schema}.gate) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_pace bigint;
    v_burst bigint;
BEGIN
    IF p_gate.kind = 1 THEN
        SELECT r.pace, r.burst INTO v_pace, v_burst FROM {api}.rate_of(p_gate) AS r;
        RETURN {api}.arrival_of(p_gate.name) - (v_burst - 1) * v_pace;
    ELSIF p_gate.kind = 2 THEN
        RETURN (SELECT open_until FROM {schema}.breaker WHERE gate = p_gate.name);
    END IF;
    RETURN NULL;
END
$$;

-- Whether a holder waits for others, so that its unit can be lent.
CREATE FUNCTION {api}.lends(p_lender bytea, p_gate text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM {schema}.live WHERE id = p_lender AND state = 3)
        AND EXISTS (SELECT FROM {schema}.unit WHERE gate = p_gate AND id = p_lender);
END
$$;

-- The nearest ancestor on whose unit a gate can be passed.
CREATE FUNCTION {api}.lender(p_gate text, p_lenders jsonb) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_lender bytea;
BEGIN
    FOR v_lender IN SELECT decode(each, 'hex') FROM jsonb_array_elements_text(p_lenders -> p_gate) AS each LOOP
        IF {api}.lends(v_lender, p_gate) THEN
            RETURN v_lender;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- Whether there is a unit that is not kept for resumable invocations other than this one.
CREATE FUNCTION {api}.has_room(p_now bigint, p_id bytea, p_gate {schema}.gate) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_gate.kind = 0 THEN
        RETURN (SELECT coalesce((SELECT most FROM {schema}.setting WHERE name = p_gate.name), p_gate.most)
            - (SELECT count(*) FROM {schema}.unit WHERE gate = p_gate.name)
            - (SELECT count(*) FROM {schema}.live WHERE trial = p_gate.name AND id <> p_id) > 0);
    END IF;
    RETURN {api}.room(p_now, p_gate) > (SELECT count(*) FROM {schema}.live WHERE trial = p_gate.name AND id <> p_id);
END
$$;

CREATE FUNCTION {api}.stops(p_now bigint, p_id bytea, p_gate {schema}.gate, p_lenders jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NOT {api}.has_room(p_now, p_id, p_gate)
        AND (p_lenders IS NULL OR {api}.lender(p_gate.name, p_lenders) IS NULL);
END
$$;

-- The first gate that stops a READY invocation; NULL: it may start.
CREATE FUNCTION {api}.closed_gate(p_now bigint, p_id bytea, p_gates {schema}.gate[], p_lenders jsonb) RETURNS {schema}.gate
LANGUAGE plpgsql STABLE AS $$
DECLARE
    g {schema}.gate;
BEGIN
    IF p_gates IS NOT NULL THEN
        FOREACH g IN ARRAY p_gates LOOP
            IF {api}.stops(p_now, p_id, g, p_lenders) THEN
                RETURN g;
            END IF;
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;

-- --- opening ---

CREATE FUNCTION {api}.gates_of(p_id bytea) RETURNS {schema}.gate[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT gates FROM {schema}.call WHERE id = p_id);
END
$$;

CREATE FUNCTION {api}.gate_of(p_id bytea, p_name text) RETURNS {schema}.gate LANGUAGE plpgsql STABLE AS $$
DECLARE
    g {schema}.gate;
BEGIN
    SELECT each.* INTO g FROM {schema}.call CROSS JOIN LATERAL unnest(gates) AS each
    WHERE call.id = p_id AND each.name = p_name;
    RETURN g;
END
$$;

-- Let a parked lane be found by claims.
CREATE FUNCTION {api}.let_out(p_lane {schema}.lane, p_trial text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.lane SET parked = NULL, trial = p_trial WHERE key = p_lane.key;
    IF p_lane.lenders IS NOT NULL THEN
        DELETE FROM {schema}.kin WHERE lane = p_lane.key;
    END IF;
    IF p_lane.flow IS NOT NULL THEN
        PERFORM {api}.place_share(p_lane.queue, p_lane.flow);
    END IF;
    PERFORM {api}.wake(p_lane.queue);
END
$$;

-- Let a parked resumable invocation be found by its owner.
CREATE FUNCTION {api}.let_go_on(p_id bytea, p_trial text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_owner bigint;
BEGIN
    DELETE FROM {schema}.kin WHERE id = p_id;
    UPDATE {schema}.live SET parked = NULL, trial = p_trial WHERE id = p_id RETURNING owner INTO v_owner;
    PERFORM {api}.ring(v_owner);
END
$$;

CREATE FUNCTION {api}.activate_resumes(p_now bigint, p_gate text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_first bytea;
BEGIN
    LOOP
        SELECT id INTO v_first FROM {schema}.live WHERE parked = p_gate ORDER BY parked, rank, id LIMIT 1;
        EXIT WHEN NOT FOUND;
        EXIT WHEN least({api}.room(p_now, {api}.gate_of(v_first, p_gate)), 32)
            <= (SELECT count(*) FROM {schema}.live WHERE trial = p_gate);
        PERFORM {api}.let_go_on(v_first, p_gate);
    END LOOP;
END
$$;

-- How many lanes of its queue try a gate that come before this one.
CREATE FUNCTION {api}.trying_before(p_lane {schema}.lane, p_gate text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT count(*) FROM {schema}.lane WHERE trial = p_gate AND queue = p_lane.queue
        AND (rank, first) < (p_lane.rank, p_lane.first));
END
$$;

-- Let out lanes of a queue; return when time opens the gate for the first that stays.
CREATE FUNCTION {api}.activate_lanes(p_now bigint, p_gate text, p_queue text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_lane {schema}.lane%ROWTYPE;
    v_gate {schema}.gate;
BEGIN
    LOOP
        SELECT * INTO v_lane FROM {schema}.lane WHERE parked = p_gate AND queue = p_queue
        ORDER BY parked, queue, rank, first LIMIT 1;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        v_gate := {api}.gate_of(v_lane.first, p_gate);
        IF least({api}.room(p_now, v_gate), 32) <= (SELECT count(*) FROM {schema}.live WHERE trial = p_gate)
            + {api}.trying_before(v_lane, p_gate) THEN
            RETURN {api}.opens_at(v_gate);
        END IF;
        PERFORM {api}.let_out(v_lane, p_gate);
    END LOOP;
END
$$;

-- Set the timer of a gate, or take it away.
CREATE FUNCTION {api}.set_timer(p_gate text, p_due bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_before bigint;
BEGIN
    IF p_due IS NULL THEN
        DELETE FROM {schema}.gate_timer WHERE gate = p_gate;
        RETURN;
    END IF;
    v_before := {api}.first_due();
    INSERT INTO {schema}.gate_timer VALUES (p_gate, p_due) ON CONFLICT (gate) DO UPDATE SET due = excluded.due;
    IF v_before IS NULL OR p_due < v_before THEN
        PERFORM {api}.wake(NULL);
    END IF;
END
$$;

-- Let out as many as may pass now, resumable invocations first, then lanes of each queue; set the timer.
CREATE FUNCTION {api}.activate(p_now bigint, p_gate text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_queue text := '';
    v_opens bigint;
    v_due bigint;
BEGIN
    IF EXISTS (SELECT FROM {schema}.live WHERE parked = p_gate) THEN
        PERFORM {api}.activate_resumes(p_now, p_gate);
    END IF;
    LOOP
        SELECT queue INTO v_queue FROM {schema}.lane WHERE parked = p_gate AND queue > v_queue
        ORDER BY parked, queue LIMIT 1;
        EXIT WHEN NOT FOUND;
        v_opens := {api}.activate_lanes(p_now, p_gate, v_queue);
        IF v_opens > p_now THEN
            v_due := least(v_due, v_opens);
        END IF;
    END LOOP;
    IF p_gate NOT LIKE 'slots:%' THEN
        PERFORM {api}.set_timer(p_gate, v_due);
    END IF;
END
$$;
