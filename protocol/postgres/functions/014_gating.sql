-- Gates: who is inside, who may pass, who is let out to try when one opens. Only for operations that hold the app's lock
-- exclusively. At most 32 lanes of a queue, and as many resumable invocations, try one gate at a time.

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

-- --- passing ---

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

-- --- resumable invocations ---

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

-- --- leaving ---

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

-- The same for many that ended at once, in this order: `p_kinds` 0 succeeded, 1 failed, 2 cancelled. Units that were lent go back one
-- by one, and breakers are told one by one; all others are given back first and those who wait let out then, which comes to the same.
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
    HAVING bool_and(w.kind = 0 AND u.lenders IS NULL);
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

-- Give the units of a run that waits back, and lend those that it keeps. A trial run gives its unit back too: what it waits for
-- may stand before the same breaker.
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
