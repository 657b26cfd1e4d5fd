-- Records as queries see them.

-- All that is known of each id: {stored call or '', control or false, outcome or false, attempts, progress, gate or ''};
-- the gate is the one before which it, or its lane, is parked.
function engine.snapshots_of(ids)
  local keys = {}
  for _, id in ipairs(ids) do
    local size = #keys
    keys[size + 1], keys[size + 2], keys[size + 3], keys[size + 4] =
      P .. 'c' .. id, P .. 'i' .. id, P .. 'o' .. id, P .. 'g' .. id
  end
  local values, found = engine.get_many(keys), {}
  for place, id in ipairs(ids) do
    local at = place * 4
    found[place] = { values[at - 3] or '', values[at - 2], values[at - 1],
      values[at - 3] and call('LRANGE', P .. 'a' .. id, 0, -1) or {}, values[at] or '',
      engine.parked_before and values[at - 2] and engine.parked_before(id) or '' }
  end
  return found
end

-- Where an invocation stands: a status once it is final, {state, reason, started, its lane is parked} before, false if
-- unknown.
function engine.standing_of(id)
  local r = engine.record(id)
  if r then
    local is_parked = engine.parked_before and r[C_OWNER] == 0 and engine.parked_before(id)
    return { r[C_STATE], r[C_REASON], r[C_STARTED_AT] and true or false, is_parked and true or false }
  end
  local o = engine.outcome(id)
  return o and o[O_STATUS] or false
end
