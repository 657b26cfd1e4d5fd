-- Leaving lanes and gates: units given back, lent and kept; breakers told.

-- Take the token of an invocation, or its place in its lane, away; `p_run` is what its row said before.
CREATE FUNCTION {api}.withdraw(p_now bigint, p_run {schema}.live) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_lane {schema}.lane%ROWTYPE;
BEGIN
    UPDATE {schema}.live SET lane = NULL, parked = NULL, trial = NULL
    WHERE id = p_run.id AND (lane IS NOT NULL OR parked IS NOT NULL OR trial IS NOT NULL);
    IF p_run.lane IS NOT NULL THEN
        SELECT * INTO v_lane FROM {schema}.lane WHERE key = p_run.lane;
        IF {api}.leave_lane(v_lane, p_run.id) THEN
            IF v_lane.trial IS NOT NULL THEN
                PERFORM {api}.activate(p_now, v_lane.trial);
            END IF;
            IF v_lane.parked IS NOT NULL THEN
                PERFORM {api}.activate(p_now, v_lane.parked);
            END IF;
        ELSIF v_lane.trial IS NOT NULL THEN
            -- It comes later now than it did, perhaps later than one that is parked.
            PERFORM {api}.activate(p_now, v_lane.trial);
        END IF;
    END IF;
    IF p_run.parked IS NOT NULL THEN
        DELETE FROM {schema}.kin WHERE id = p_run.id;
    END IF;
    IF p_run.trial IS NOT NULL THEN
        PERFORM {api}.activate(p_now, p_run.trial);
    END IF;
END
$$;

-- Let out whoever could pass a gate on the unit of this holder, if that waits for others.
CREATE FUNCTION {api}.lend(p_lender bytea, p_gate text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_id bytea;
    v_lane {schema}.lane%ROWTYPE;
BEGIN
    IF NOT {api}.lends(p_lender, p_gate) THEN
        RETURN;
    END IF;
    FOR v_id IN
        SELECT l.id FROM {schema}.kin k JOIN {schema}.live l ON l.id = k.id
        WHERE k.lender = p_lender AND k.gate = p_gate ORDER BY l.rank, l.id
    LOOP
        PERFORM {api}.let_go_on(v_id, NULL);
    END LOOP;
    FOR v_lane IN
        SELECT l.* FROM {schema}.kin k JOIN {schema}.lane l ON l.key = k.lane
        WHERE k.lender = p_lender AND k.gate = p_gate ORDER BY l.rank, l.first
    LOOP
        PERFORM {api}.let_out(v_lane, NULL);
    END LOOP;
END
$$;

-- Give a unit back: to its lender, if that waits for it or goes on soon, else to whoever comes next.
CREATE FUNCTION {api}.give_unit_up(p_now bigint, p_id bytea, p_gate text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    u {schema}.unit%ROWTYPE;
    r {schema}.live%ROWTYPE;
BEGIN
    DELETE FROM {schema}.unit WHERE gate = p_gate AND id = p_id RETURNING * INTO u;
    IF u.id IS NULL THEN
        RETURN;
    END IF;
    FOR i IN 1 .. coalesce(cardinality(u.lenders), 0) LOOP
        SELECT * INTO r FROM {schema}.live WHERE id = u.lenders[i] AND owner IS NOT NULL AND state IN (1, 3);
        IF FOUND AND NOT EXISTS (SELECT FROM {schema}.unit WHERE gate = p_gate AND id = r.id) THEN
            INSERT INTO {schema}.unit VALUES (p_gate, r.id, p_now, u.most, nullif(u.lenders[i + 1:], '{}'));
            IF r.parked = p_gate THEN
                PERFORM {api}.let_go_on(r.id, NULL);
            ELSIF r.trial = p_gate THEN
                PERFORM {api}.end_resume_trial(p_now, r.id, r.trial);
            END IF;
            PERFORM {api}.lend(r.id, p_gate);
            RETURN;
        END IF;
    END LOOP;
    PERFORM {api}.activate(p_now, p_gate);
END
$$;

-- Give all units of an invocation back; `p_keep`: but those that stay with it while its retry is delayed.
CREATE FUNCTION {api}.give_up(p_now bigint, p_id bytea, p_gates {schema}.gate[], p_keep boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    g {schema}.gate;
BEGIN
    IF p_gates IS NOT NULL THEN
        FOREACH g IN ARRAY p_gates LOOP
            IF g.kind <> 1 AND NOT (p_keep AND g.kind = 0 AND g.block) THEN
                PERFORM {api}.give_unit_up(p_now, p_id, g.name);
            END IF;
        END LOOP;
    END IF;
END
$$;

-- Give everything up that an invocation had of gates, which has ended: its row is gone.
CREATE FUNCTION {api}.end_gated(p_now bigint, p_run {schema}.live) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_run.lane IS NOT NULL OR p_run.parked IS NOT NULL OR p_run.trial IS NOT NULL THEN
        PERFORM {api}.withdraw(p_now, p_run);
    END IF;
    PERFORM {api}.give_up(p_now, p_run.id, {api}.gates_of(p_run.id), false);
END
$$;

-- The same for many that ended at once, in this order: `p_kinds` 0 succeeded, 1 failed, 2 cancelled. Units that were lent
-- go back one by one, and breakers are told one by one; all others are given back first and those who wait let out then,
-- which comes to the same.
CREATE FUNCTION {api}.end_all_gated(p_now bigint, p_ids bytea[], p_kinds integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_gates {schema}.gate[];
    v_units tid[];
    v_waited text[];
    v_gate text;
BEGIN
    SELECT array_agg(u.place), array_agg(w.name ORDER BY w.place, w.name) FILTER (WHERE
        (SELECT true FROM {schema}.lane WHERE parked = w.name LIMIT 1)
        OR (SELECT true FROM {schema}.live WHERE parked = w.name LIMIT 1))
    INTO v_units, v_waited
    FROM (
        SELECT i.id, i.place, g.name, g.kind FROM unnest(p_ids) WITH ORDINALITY AS i (id, place)
        CROSS JOIN LATERAL (SELECT gates FROM {schema}.call WHERE id = i.id OFFSET 0) AS c
        CROSS JOIN LATERAL unnest(c.gates) AS g
        WHERE g.kind <> 1
    ) AS w
    LEFT JOIN LATERAL (
        SELECT ctid AS place, lenders FROM {schema}.unit WHERE gate = w.name AND id = w.id OFFSET 0
    ) AS u ON true
    HAVING coalesce(bool_and(w.kind = 0 AND u.lenders IS NULL), true);
    IF FOUND THEN
        DELETE FROM {schema}.unit WHERE ctid = ANY (v_units);
        FOREACH v_gate IN ARRAY coalesce(v_waited, '{}') LOOP
            PERFORM {api}.activate(p_now, v_gate);
        END LOOP;
        RETURN;
    END IF;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        v_gates := {api}.gates_of(p_ids[i]);
        IF p_kinds[i] < 2 THEN
            PERFORM {api}.report(p_now, p_ids[i], v_gates, p_kinds[i] = 1);
        END IF;
        PERFORM {api}.give_up(p_now, p_ids[i], v_gates, false);
    END LOOP;
END
$$;

-- Give the units of a run that waits back, and lend those that it keeps. A trial run gives its unit back too: what it
-- waits for may stand before the same breaker.
CREATE FUNCTION {api}.suspend_gated(p_now bigint, p_id bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    g {schema}.gate;
    v_gates {schema}.gate[] := {api}.gates_of(p_id);
BEGIN
    IF v_gates IS NOT NULL THEN
        FOREACH g IN ARRAY v_gates LOOP
            IF g.kind = 0 AND g.hold THEN
                PERFORM {api}.lend(p_id, g.name);
            ELSIF g.kind <> 1 THEN
                PERFORM {api}.give_unit_up(p_now, p_id, g.name);
            END IF;
        END LOOP;
    END IF;
END
$$;

-- Tell the breakers of an invocation how its attempt ended, before its units are given up.
CREATE FUNCTION {api}.report(p_now bigint, p_id bytea, p_gates {schema}.gate[], p_failed boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    g {schema}.gate;
    b {schema}.breaker%ROWTYPE;
BEGIN
    IF p_gates IS NULL THEN
        RETURN;
    END IF;
    FOREACH g IN ARRAY p_gates LOOP
        CONTINUE WHEN g.kind <> 2;
        SELECT * INTO b FROM {schema}.breaker WHERE gate = g.name;
        -- While it lets only a trial run pass, nobody else decides anything.
        CONTINUE WHEN b.open_until IS NOT NULL
            AND NOT EXISTS (SELECT FROM {schema}.unit WHERE gate = g.name AND id = p_id);
        IF NOT p_failed THEN
            DELETE FROM {schema}.breaker WHERE gate = g.name;
            CONTINUE;
        END IF;
        INSERT INTO {schema}.breaker AS known VALUES (g.name, 1, NULL, NULL)
        ON CONFLICT (gate) DO UPDATE SET failures = known.failures + 1 RETURNING * INTO b;
        IF b.open_until IS NOT NULL OR b.failures >= g.most THEN
            UPDATE {schema}.breaker SET open_until = p_now + g.more, open_since = coalesce(open_since, p_now)
            WHERE gate = g.name;
        END IF;
    END LOOP;
END
$$;
