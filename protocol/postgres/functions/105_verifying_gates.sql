-- verify, for what is gated: one place each (I1), units only for those inside (I4), trials for whatever could pass (I5).

-- Whether one more has to try a gate. Where time opens it one that tries is enough, and a timer is none.
CREATE FUNCTION {api}.could_pass(p_now bigint, p_id bytea, p_gate text, p_lane {schema}.lane) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    g {schema}.gate := {api}.gate_of(p_id, p_gate);
    v_room bigint := {api}.room(p_now, g);
    v_trying bigint := (SELECT count(*) FROM {schema}.live WHERE trial = p_gate)
        + {api}.trying_before(p_lane, p_gate);
BEGIN
    IF g.kind = 0 THEN
        RETURN least(v_room, 32) > v_trying;
    END IF;
    RETURN v_room > 0 AND v_trying = 0 AND NOT EXISTS (SELECT FROM {schema}.gate_timer WHERE gate = p_gate);
END
$$;

-- Whether an invocation in this state may be inside a gate.
CREATE FUNCTION {api}.may_hold(p_run {schema}.live, p_gate text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    g {schema}.gate := {api}.gate_of(p_run.id, p_gate);
BEGIN
    RETURN g.name IS NOT NULL AND CASE
        WHEN p_run.state = 2 THEN true
        WHEN p_run.owner IS NOT NULL THEN g.kind = 0 AND g.hold
        ELSE p_run.state = 0 AND g.kind = 0 AND g.block
    END;
END
$$;

CREATE FUNCTION {api}.gate_violations(p_now bigint) RETURNS TABLE (invariant text, id bytea, detail text)
LANGUAGE sql STABLE AS $$
    SELECT 'I1', l.id, CASE WHEN l.lane IS NULL THEN 'READY, but not in a lane' ELSE 'in a lane, but not READY' END
    FROM {schema}.live l
    WHERE (l.flags & 2 <> 0 AND l.state = 1 AND l.owner IS NULL) <> (l.lane IS NOT NULL)
    UNION ALL
    SELECT 'I1', l.id, 'gates without the flag of those that have some, or the other way round'
    FROM {schema}.live l JOIN {schema}.call c ON c.id = l.id
    WHERE (l.flags & 2 <> 0) <> (c.gates IS NOT NULL OR c.flow IS NOT NULL)
    UNION ALL
    SELECT 'I1', l.id, 'its lane is not there' FROM {schema}.live l
    WHERE l.lane IS NOT NULL AND NOT EXISTS (SELECT FROM {schema}.lane a WHERE a.key = l.lane)
    UNION ALL
    SELECT 'I1', a.first, 'a lane begins with it, but it is not its first member' FROM {schema}.lane a
    WHERE (a.rank, a.first) IS DISTINCT FROM
        (SELECT (l.rank, l.id) FROM {schema}.live l WHERE l.lane = a.key ORDER BY l.lane, l.rank, l.id LIMIT 1)
    UNION ALL
    SELECT 'I1', coalesce(s.first, a.first), 'a flow begins with it, but it is not its first token'
    FROM {schema}.share s FULL JOIN (
        SELECT DISTINCT ON (queue, flow) queue, flow, first FROM {schema}.lane
        WHERE parked IS NULL AND flow IS NOT NULL ORDER BY queue, flow, rank, first
    ) AS a ON a.queue = s.queue AND a.flow = s.flow
    WHERE a.first IS DISTINCT FROM s.first
    UNION ALL
    SELECT 'I1', l.id, 'parked before a gate, or trying one, but not resumable' FROM {schema}.live l
    WHERE (l.parked IS NOT NULL OR l.trial IS NOT NULL) AND NOT (l.state = 1 AND l.owner IS NOT NULL)
    UNION ALL
    SELECT 'I4', u.id, 'holds ' || u.gate || ', but may not' FROM {schema}.unit u LEFT JOIN {schema}.live l ON l.id = u.id
    WHERE l.id IS NULL OR NOT {api}.may_hold(l, u.gate)
    UNION ALL
    SELECT 'I4', l.id, 'runs without a unit of its gates' FROM {schema}.live l
    WHERE l.state = 2 AND l.flags & 2 <> 0 AND {api}.missing_gates(l.id) IS NOT NULL
    UNION ALL
    SELECT 'I5', NULL, count(*) || ' are inside ' || u.gate || ', more than any limit they came in under'
    FROM {schema}.unit u GROUP BY u.gate HAVING count(*) > max(u.most)
    UNION ALL
    SELECT 'I5', f.id, 'is parked before ' || f.parked || ', which is open' FROM (
        SELECT DISTINCT ON (l.parked) l.parked, l.id FROM {schema}.live l WHERE l.parked IS NOT NULL
        ORDER BY l.parked, l.rank, l.id
    ) AS f WHERE {api}.could_pass(p_now, f.id, f.parked, NULL)
    UNION ALL
    SELECT 'I5', f.first, 'its lane is parked before ' || f.parked || ', which is open' FROM (
        SELECT DISTINCT ON (a.parked, a.queue) a.parked, a.first, a AS lane FROM {schema}.lane a WHERE a.parked IS NOT NULL
        ORDER BY a.parked, a.queue, a.rank, a.first
    ) AS f WHERE {api}.could_pass(p_now, f.first, f.parked, f.lane)
$$;

-- Keep units only for those that may have them, give them to those that run, and queue everything in its lane anew.
CREATE FUNCTION {api}.rebuild_gates(p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r {schema}.live%ROWTYPE;
BEGIN
    DELETE FROM {schema}.unit u
    WHERE NOT EXISTS (SELECT FROM {schema}.live l WHERE l.id = u.id AND {api}.may_hold(l, u.gate));
    DELETE FROM {schema}.lane;
    DELETE FROM {schema}.share;
    DELETE FROM {schema}.flow_time;
    DELETE FROM {schema}.kin;
    DELETE FROM {schema}.gate_timer;
    UPDATE {schema}.live l SET lane = NULL, parked = NULL, trial = NULL,
        flags = l.flags & 1 | {api}.gate_flag(l.id)
    WHERE l.lane IS NOT NULL OR l.parked IS NOT NULL OR l.trial IS NOT NULL OR (l.flags & 2) <> {api}.gate_flag(l.id);
    INSERT INTO {schema}.unit (gate, id, since, most)
    SELECT g.name, l.id, coalesce(l.claimed_at, p_now), {api}.limit_of(g)
    FROM {schema}.live l CROSS JOIN LATERAL unnest({api}.missing_gates(l.id)) AS g WHERE l.state = 2 AND l.flags & 2 <> 0;
    FOR r IN SELECT * FROM {schema}.live WHERE state = 1 AND owner IS NULL AND flags & 2 <> 0 ORDER BY id LOOP
        PERFORM {api}.enter_lane(p_now, r.id);
    END LOOP;
END
$$;
