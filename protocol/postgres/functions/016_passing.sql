-- Passing gates: starts, parked lanes, and resumable invocations that take their units again.

CREATE FUNCTION {api}.take_unit(p_now bigint, p_id bytea, p_gate {schema}.gate, p_lenders jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_lender bytea;
    u {schema}.unit%ROWTYPE;
BEGIN
    IF p_lenders IS NOT NULL AND NOT {api}.has_room(p_now, p_id, p_gate) THEN
        v_lender := {api}.lender(p_gate.name, p_lenders);
        DELETE FROM {schema}.unit WHERE gate = p_gate.name AND id = v_lender RETURNING * INTO u;
        INSERT INTO {schema}.unit VALUES (p_gate.name, p_id, p_now, u.most, v_lender || coalesce(u.lenders, '{}'));
    ELSE
        INSERT INTO {schema}.unit VALUES (p_gate.name, p_id, p_now, {api}.limit_of(p_gate));
    END IF;
END
$$;

-- Let an invocation pass these gates, which are open for it.
CREATE FUNCTION {api}.pass(p_now bigint, p_id bytea, p_gates {schema}.gate[], p_lenders jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    g {schema}.gate;
    v_pace bigint;
BEGIN
    FOREACH g IN ARRAY p_gates LOOP
        IF g.kind = 0 THEN
            PERFORM {api}.take_unit(p_now, p_id, g, p_lenders);
        ELSIF g.kind = 1 THEN
            v_pace := (SELECT r.pace FROM {api}.rate_of(g) AS r);
            INSERT INTO {schema}.rate AS r VALUES (g.name, p_now + v_pace)
            ON CONFLICT (gate) DO UPDATE SET arrival = greatest(r.arrival, p_now) + v_pace;
        ELSIF EXISTS (SELECT FROM {schema}.breaker WHERE gate = g.name AND open_until IS NOT NULL) THEN
            INSERT INTO {schema}.unit VALUES (g.name, p_id, p_now, 1);
        END IF;
    END LOOP;
END
$$;

-- Let an invocation, whose row is claimed already, pass its gates and leave its lane.
CREATE FUNCTION {api}.start_gated(p_now bigint, p_id bytea, p_gates {schema}.gate[], p_lane {schema}.lane) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_went boolean;
BEGIN
    IF p_gates IS NOT NULL THEN
        PERFORM {api}.pass(p_now, p_id, p_gates, p_lane.lenders);
    END IF;
    IF p_lane.flow IS NOT NULL THEN
        PERFORM {api}.spend_share(p_lane.queue, p_lane.flow);
    END IF;
    v_went := {api}.leave_lane(p_lane, p_id);
    IF NOT v_went AND p_lane.trial IS NOT NULL THEN
        UPDATE {schema}.lane SET trial = NULL WHERE key = p_lane.key;
    END IF;
    IF p_lane.flow IS NOT NULL THEN
        PERFORM {api}.place_share(p_lane.queue, p_lane.flow);
    END IF;
    IF v_went AND p_lane.parked IS NOT NULL THEN
        PERFORM {api}.activate(p_now, p_lane.parked);
    END IF;
    IF p_lane.trial IS NOT NULL THEN
        PERFORM {api}.activate(p_now, p_lane.trial);
    END IF;
END
$$;

-- Park a lane before a gate that stops it, and let others try what it was let out for.
CREATE FUNCTION {api}.park(p_now bigint, p_lane {schema}.lane, p_gate text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.lane SET parked = p_gate, trial = NULL WHERE key = p_lane.key;
    IF p_lane.flow IS NOT NULL THEN
        PERFORM {api}.place_share(p_lane.queue, p_lane.flow);
    END IF;
    IF p_lane.lenders IS NOT NULL THEN
        PERFORM {api}.note_kin(p_gate, p_lane.lenders, p_lane.key, NULL);
    END IF;
    IF p_lane.trial <> p_gate THEN
        PERFORM {api}.activate(p_now, p_lane.trial);
    END IF;
    PERFORM {api}.activate(p_now, p_gate);
END
$$;

CREATE FUNCTION {api}.end_resume_trial(p_now bigint, p_id bytea, p_trial text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_trial IS NOT NULL THEN
        UPDATE {schema}.live SET trial = NULL WHERE id = p_id;
        PERFORM {api}.activate(p_now, p_trial);
    END IF;
END
$$;

-- Give a resumable invocation back the units it gave up, or park it before the first gate that is closed.
CREATE FUNCTION {api}.may_go_on(p_now bigint, p_run {schema}.live) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_missing {schema}.gate[];
    v_lenders jsonb;
    v_gate {schema}.gate;
BEGIN
    v_missing := {api}.missing_gates(p_run.id);
    IF v_missing IS NOT NULL THEN
        v_lenders := {api}.lenders_of((SELECT parent FROM {schema}.call WHERE id = p_run.id), v_missing);
        v_gate := {api}.closed_gate(p_now, p_run.id, v_missing, v_lenders);
        IF v_gate.name IS NOT NULL THEN
            UPDATE {schema}.live SET parked = v_gate.name WHERE id = p_run.id;
            IF v_lenders IS NOT NULL THEN
                PERFORM {api}.note_kin(v_gate.name, v_lenders, NULL, p_run.id);
            END IF;
            PERFORM {api}.end_resume_trial(p_now, p_run.id, p_run.trial);
            RETURN false;
        END IF;
        PERFORM {api}.pass(p_now, p_run.id, v_missing, v_lenders);
    END IF;
    PERFORM {api}.end_resume_trial(p_now, p_run.id, p_run.trial);
    RETURN true;
END
$$;

-- The slots in which an invocation has to be to run, and is not; NULL: none.
CREATE FUNCTION {api}.missing_gates(p_id bytea) RETURNS {schema}.gate[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    g {schema}.gate;
    v_missing {schema}.gate[];
    v_gates {schema}.gate[] := {api}.gates_of(p_id);
BEGIN
    IF v_gates IS NOT NULL THEN
        FOREACH g IN ARRAY v_gates LOOP
            IF g.kind = 0 AND NOT EXISTS (SELECT FROM {schema}.unit WHERE gate = g.name AND id = p_id) THEN
                v_missing := array_append(v_missing, g);
            END IF;
        END LOOP;
    END IF;
    RETURN v_missing;
END
$$;
