-- Submissions with gates that are otherwise alike.

-- The record of a new invocation but for its rank and what is kept of its gates: before the first, between them, behind.
local function fresh_gated_record(queue, retention, max_crashes)
  local between = pack(now, retention, max_crashes, unpack(FRESH, C_REQUIRED + 1, C_GATED - 1))
  return '\220\0\27' .. pack(READY, REASON_NEW, queue), between .. '\150', pack('', false, false, false)
end

-- Create invocations that are alike but for id, call and gates; nothing is known of their ids.
function engine.submit_gated(shared, flat, sequence)
  local queue = shared[1]
  local before, between, behind = fresh_gated_record(queue, shared[3], shared[4])
  local rank, calls, control = shared[2] * BAND_UNIT + sequence, P .. 'c', P .. 'i'
  local stored, listed, ready, entering = {}, {}, {}, {}
  for at = 1, #flat, 3 do
    local id, gated, number = flat[at], flat[at + 2], #entering
    local gates, flow = unpack_record(gated)
    stored[4 * number + 1], stored[4 * number + 2] = calls .. id, flat[at + 1]
    stored[4 * number + 3], stored[4 * number + 4] = control .. id, before .. pack(rank) .. between .. gated .. behind
    listed[2 * number + 1], listed[2 * number + 2] = '0', id
    ready[2 * number + 1], ready[2 * number + 2] = rank, id
    entering[number + 1] = {
      id = id, [C_QUEUE] = queue, [C_RANK] = rank, [C_GATED] = { gates, flow, '', false, false, false },
    }
    rank = rank + 1
  end
  engine.call_many('MSET', nil, stored, 2)
  engine.call_many('ZADD', P .. 'all', listed, 2)
  engine.call_many('ZADD', P .. 'A' .. queue, ready, 2)
  engine.fetch_lanes(entering)
  for _, r in ipairs(entering) do engine.enter_lane(r) end
  return #entering
end

-- The same as items, where something is known of one of them.
function engine.gated_items(shared, flat)
  local items = {}
  for at = 1, #flat, 3 do
    local gates, flow = unpack_record(flat[at + 2])
    items[#items + 1] = {
      flat[at], shared[1], shared[2], false, 0, false, shared[3], shared[4], '', 0, '', 0, '', 0, 0,
      string.sub(flat[at + 1], 2), 0, gates, flow, false,
    }
  end
  return items
end
