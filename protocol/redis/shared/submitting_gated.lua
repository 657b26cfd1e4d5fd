-- Submissions with gates that are otherwise alike: their lanes where shared/limited.lua is not enough.

-- Queue new invocations in their lanes.
function engine.enter_lanes(queue, entering)
  local all = {}
  for place, id in ipairs(entering.ids) do
    local gates, flow = unpack_record(entering.gates[place])
    all[place] = {
      id = id, [C_QUEUE] = queue, [C_RANK] = entering.ranks[place], [C_GATED] = { gates, flow, '', false, false, false },
    }
  end
  engine.fetch_lanes(all)
  for _, r in ipairs(all) do engine.enter_lane(r) end
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
