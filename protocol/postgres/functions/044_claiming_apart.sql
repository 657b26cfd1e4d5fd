-- Claims of many lanes at once, where the order in which they are looked at decides nothing.

-- The lowest place of what is no token of a lane without a flow; NULL: there is none.
CREATE FUNCTION {api}.first_between(p_queues text[]) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT min(t.rank) FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
        (SELECT l.rank FROM {schema}.live l
        WHERE l.queue = q.name AND l.state = 1 AND l.owner IS NULL AND l.lane IS NULL ORDER BY l.queue, l.rank LIMIT 1)
        UNION ALL
        (SELECT s.place FROM {schema}.share s WHERE s.queue = q.name ORDER BY s.queue, s.place LIMIT 1)
    ) AS t);
END
$$;

-- Park the first lanes all at once, as far as full slots stop each of them and nothing comes between: nobody can be let
-- out for it. Returns how many.
CREATE FUNCTION {api}.park_apart(p_now bigint, p_queues text[], p_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_between bigint := {api}.first_between(p_queues);
    v_lanes bytea[];
    v_gates text[];
BEGIN
    WITH head AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY l.rank, l.first) AS place, l.* FROM unnest(p_queues) AS q (name)
        CROSS JOIN LATERAL (
            SELECT key, rank, first, trial, lenders FROM {schema}.lane
            WHERE queue = q.name AND parked IS NULL AND flow IS NULL ORDER BY queue, rank, first LIMIT p_most
        ) AS l ORDER BY l.rank, l.first LIMIT p_most
    ), known AS MATERIALIZED (
        SELECT h.place, h.key, h.rank, g.name,
            g.mode = 0 AND g.kind = 0 AND h.lenders IS NULL AND coalesce(v.expires_at > p_now, true)
                AND (h.trial IS NULL OR h.trial = g.name) AS fits
        FROM head h
        CROSS JOIN LATERAL (SELECT expires_at FROM {schema}.live WHERE id = h.first OFFSET 0) AS v
        CROSS JOIN LATERAL (SELECT gates FROM {schema}.call WHERE id = h.first OFFSET 0) AS c
        LEFT JOIN LATERAL (
            SELECT each.* FROM unnest(c.gates) WITH ORDINALITY AS each (name, kind, mode, most, more, hold, block, place)
            WHERE each.kind <> 0 OR coalesce((SELECT most FROM {schema}.setting WHERE name = each.name), each.most)
                <= (SELECT count(*) FROM {schema}.unit WHERE gate = each.name)
                + (SELECT count(*) FROM {schema}.live WHERE trial = each.name)
            ORDER BY each.place LIMIT 1
        ) AS g ON true
    )
    SELECT array_agg(key ORDER BY place), array_agg(name ORDER BY place) INTO v_lanes, v_gates FROM known
    WHERE place < coalesce(
        (SELECT min(place) FROM known WHERE fits IS NOT TRUE OR rank >= v_between), 9223372036854775807);
    UPDATE {schema}.lane SET parked = v_gates[array_position(v_lanes, key)], trial = NULL WHERE key = ANY (v_lanes);
    RETURN coalesce(cardinality(v_lanes), 0);
END
$$;

-- Claim the first tokens of lanes all at once, as far as starting each of them changes nothing for those that come after
-- it: the gates are slots with room for all, nobody lends, nothing is parked before a gate that one tries, and nothing
-- comes between.
CREATE FUNCTION {api}.claim_apart(p_now bigint, p_session bigint, p_queues text[], p_want integer) RETURNS bytea[]
LANGUAGE plpgsql AS $$
DECLARE
    v_between bigint := {api}.first_between(p_queues);
    v_ids bytea[];
    v_lanes bytea[];
    v_ranks bigint[];
    v_next bytea[];
    v_keyed boolean;
BEGIN
    WITH head AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY l.rank, l.first) AS place, l.* FROM unnest(p_queues) AS q (name)
        CROSS JOIN LATERAL (
            SELECT key, rank, first, trial, lenders FROM {schema}.lane
            WHERE queue = q.name AND parked IS NULL AND flow IS NULL ORDER BY queue, rank, first LIMIT p_want
        ) AS l ORDER BY l.rank, l.first LIMIT p_want
    ), known AS MATERIALIZED (
        SELECT h.place, h.key, h.rank, h.first, c.gates, v.key IS NOT NULL AS keyed, n.rank AS next_rank, n.id AS next_id,
            h.lenders IS NULL AND c.gates IS NOT NULL AND coalesce(v.expires_at > p_now, true)
                AND (h.trial IS NULL OR (
                    (SELECT true FROM {schema}.lane WHERE parked = h.trial LIMIT 1) IS NULL
                    AND (SELECT true FROM {schema}.live WHERE parked = h.trial LIMIT 1) IS NULL)) AS fits
        FROM head h
        CROSS JOIN LATERAL (SELECT expires_at, key FROM {schema}.live WHERE id = h.first OFFSET 0) AS v
        CROSS JOIN LATERAL (SELECT gates FROM {schema}.call WHERE id = h.first OFFSET 0) AS c
        LEFT JOIN LATERAL (
            SELECT rank, id FROM {schema}.live WHERE lane = h.key AND (rank, id) > (h.rank, h.first)
            ORDER BY lane, rank, id LIMIT 1
        ) AS n ON true
    ), passing AS MATERIALIZED (
        SELECT k.place, k.first, g.name, g.kind, row_number() OVER (PARTITION BY g.name ORDER BY k.place) AS number,
            coalesce((SELECT most FROM {schema}.setting WHERE name = g.name), g.most) AS most
        FROM known k CROSS JOIN LATERAL unnest(k.gates) AS g
    ), stop AS MATERIALIZED (
        SELECT least(
            (SELECT min(place) FROM known WHERE NOT fits),
            (SELECT min(p.place) FROM passing p WHERE p.kind <> 0 OR p.number > p.most
                - (SELECT count(*) FROM {schema}.unit WHERE gate = p.name)
                - (SELECT count(*) FROM {schema}.live WHERE trial = p.name)),
            (SELECT min(e.place) FROM (
                SELECT place, rank,
                    min(next_rank) OVER (ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS next
                FROM known
            ) AS e WHERE e.rank >= e.next),
            (SELECT min(place) FROM known WHERE rank >= v_between)
        ) AS place
    ), chosen AS MATERIALIZED (
        SELECT * FROM known WHERE place < coalesce((SELECT stop.place FROM stop), 9223372036854775807)
    ), inside AS (
        INSERT INTO {schema}.unit SELECT p.name, p.first, p_now, p.most FROM passing p
        WHERE p.place < coalesce((SELECT stop.place FROM stop), 9223372036854775807)
    )
    SELECT array_agg(first ORDER BY place), array_agg(key ORDER BY place), array_agg(next_rank ORDER BY place),
        array_agg(next_id ORDER BY place), bool_or(keyed)
    INTO v_ids, v_lanes, v_ranks, v_next, v_keyed FROM chosen;
    IF v_ids IS NULL THEN
        RETURN '{}';
    END IF;
    PERFORM {api}.take(p_now, p_session, v_ids, v_keyed);
    DELETE FROM {schema}.lane WHERE key = ANY (v_lanes) AND v_next[array_position(v_lanes, key)] IS NULL;
    UPDATE {schema}.lane SET rank = v_ranks[array_position(v_lanes, key)], first = v_next[array_position(v_lanes, key)],
        trial = NULL
    WHERE key = ANY (v_lanes);
    RETURN v_ids;
END
$$;
