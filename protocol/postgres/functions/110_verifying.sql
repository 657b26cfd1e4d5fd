-- verify: the structural invariants. Indexes are the database's own, so what can be broken is between tables.

CREATE FUNCTION {api}.violations() RETURNS TABLE (invariant text, id bytea, detail text)
LANGUAGE sql STABLE AS $$
    SELECT 'I2', l.id, 'owner ' || l.owner || ' has ended' FROM {schema}.live l
    WHERE l.owner IS NOT NULL
        AND NOT EXISTS (SELECT FROM {schema}.session s WHERE s.number = l.owner AND s.ended_at IS NULL)
    UNION ALL
    SELECT 'I2', l.id, 'owned without an owner' FROM {schema}.live l WHERE l.state IN (2, 3) AND l.owner IS NULL
    UNION ALL
    SELECT 'I2', l.id, 'BLOCKED, but owned by ' || l.owner FROM {schema}.live l WHERE l.state = 0 AND l.owner IS NOT NULL
    UNION ALL
    SELECT 'I3', c.id, 'control record and outcome: both or neither' FROM {schema}.call c
    WHERE EXISTS (SELECT FROM {schema}.live l WHERE l.id = c.id)
        = EXISTS (SELECT FROM {schema}.outcome o WHERE o.id = c.id)
    UNION ALL
    SELECT 'I3', l.id, 'a record without its call' FROM {schema}.live l
    WHERE NOT EXISTS (SELECT FROM {schema}.call c WHERE c.id = l.id)
    UNION ALL
    SELECT 'I3', o.id, 'an outcome without its call' FROM {schema}.outcome o
    WHERE NOT EXISTS (SELECT FROM {schema}.call c WHERE c.id = o.id)
    UNION ALL
    SELECT 'I6', l.id, 'needs ' || l.need_left || ' of ' || n.edges FROM {schema}.live l
    CROSS JOIN LATERAL (SELECT count(*) AS edges FROM {schema}.wait w WHERE w.waiter = l.id) AS n
    WHERE CASE WHEN l.state IN (0, 3) AND l.need_left > 0 THEN l.need_left > n.edges
        ELSE n.edges > 0 OR l.need_left <> 0 OR l.state = 3 END
    UNION ALL
    SELECT 'I6', w.waiter, 'waits for something that is final or does not know' FROM {schema}.wait w
    WHERE NOT EXISTS (SELECT FROM {schema}.live l WHERE l.id = w.waited AND l.flags & 1 = 1)
    UNION ALL
    SELECT 'I6', w.waiter, 'listed as waiting, but is not there' FROM {schema}.wait w
    WHERE NOT EXISTS (SELECT FROM {schema}.live l WHERE l.id = w.waiter)
    UNION ALL
    SELECT 'I7', l.id, 'BLOCKED with nothing to wait for' FROM {schema}.live l
    WHERE l.state = 0 AND l.need_left = 0 AND l.not_before IS NULL
    UNION ALL
    SELECT 'I8', l.id, 'attempt ' || l.attempt || ' at epoch ' || l.epoch FROM {schema}.live l
    WHERE l.attempt NOT BETWEEN 0 AND l.epoch
$$;

CREATE FUNCTION {api}.verify(p_now bigint) RETURNS TABLE (invariant text, id bytea, detail text)
LANGUAGE sql STABLE AS $$
    SELECT * FROM {api}.violations() WHERE NOT EXISTS (SELECT FROM {api}.seal)
    UNION ALL
    SELECT * FROM {api}.gate_violations({api}.clock(p_now))
$$;

-- Rebuild what follows from the records. Exclusive.
CREATE FUNCTION {api}.repair(p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {api}.lock_app(true);
    DELETE FROM {schema}.wait w
    WHERE NOT EXISTS (SELECT FROM {schema}.live l WHERE l.id = w.waiter)
        OR NOT EXISTS (SELECT FROM {schema}.live l WHERE l.id = w.waited);
    UPDATE {schema}.live SET flags = flags | 1
    WHERE flags & 1 = 0 AND id IN (SELECT waited FROM {schema}.wait);
    PERFORM {api}.rebuild_gates({api}.clock(p_now));
END
$$;

-- The rest of a dump: what calls, records and sessions do not tell.
CREATE FUNCTION {api}.dump_rest(p_now bigint) RETURNS TABLE (what text, number bigint, one bytea, other bytea)
LANGUAGE sql STABLE AS $$
    SELECT 'waits', NULL::bigint, waiter, waited FROM {schema}.wait
    UNION ALL SELECT 'dedupe', NULL, key, id FROM {schema}.dedupe
    UNION ALL SELECT 'watches', session, id, NULL FROM {schema}.watch
    ORDER BY 1, 2, 3, 4
$$;

CREATE FUNCTION {api}.ids(p_now bigint, p_after bytea, p_budget integer) RETURNS SETOF bytea LANGUAGE sql STABLE AS $$
    SELECT id FROM {schema}.call WHERE (p_after IS NULL OR id > p_after) AND NOT EXISTS (SELECT FROM {api}.seal)
    ORDER BY id LIMIT p_budget
$$;

CREATE FUNCTION {api}.peek_inbox(p_now bigint, p_session bigint) RETURNS SETOF {api}.reply LANGUAGE sql STABLE AS $$
    SELECT 4::smallint, 0, id, status, reason, payload, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea,
        attempt::bigint, crashes::bigint, epoch, completed_by, worker, registered_at, claimed_at, started_at, ended_at,
        expires_at
    FROM {schema}.inbox WHERE session = p_session AND NOT EXISTS (SELECT FROM {api}.seal) ORDER BY position
$$;
