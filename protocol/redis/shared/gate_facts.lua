-- How gates stand for one invocation.

-- Whether a gate would stop an invocation, in whatever state; slots do not stop who is inside.
local function stops(r, gate)
  local in_lane = r[C_STATE] == READY and r[C_OWNER] == 0
  if not in_lane and string.byte(gate[GATE_NAME]) == KIND_SLOTS and not engine.misses(r, gate) then return false end
  return engine.is_stopped(r, gate, in_lane and r[C_GATED][G_LENDERS] or not in_lane and engine.lenders_of(r) or {})
end

local function task_of(id)
  local stored = call('GET', P .. 'c' .. id) or ''
  local ok, known = pcall(unpack_record, string.sub(stored, string.byte(stored, 1) == 1 and 34 or 2))
  return ok and known[1] or ''
end

-- Who is inside, by (since, id): {id, task, since} of the first `most`, and how many there are.
local function holders_of(name, most)
  local raw, all, named = call('HGETALL', P .. 'H' .. name), {}, {}
  for place = 1, #raw, 2 do all[#all + 1] = { raw[place], unpack_record(raw[place + 1])[UNIT_SINCE] } end
  table.sort(all, function(one, other) return engine.precedes(one[2], one[1], other[2], other[1]) end)
  for place = 1, math.min(most, #all) do named[place] = { all[place][1], task_of(all[place][1]), all[place][2] } end
  return named, #all
end

-- {name, closed, parked, limit or false, set live, holders, how many, opens at or false, failures, open since or false}
function engine.gate_fact(r, gate, most)
  local name = gate[GATE_NAME]
  local kind = string.byte(name)
  local is_closed, opens = stops(r, gate), engine.opens_at(gate)
  local holders, total = holders_of(name, most)
  local breaker = kind == KIND_BREAKER and engine.breaker(name)
  return {
    name, is_closed, engine.parked_before(r.id) == name, kind == KIND_SLOTS and engine.limit_of(gate),
    engine.setting(name) and true or false, holders, total, is_closed and opens and opens > now and opens,
    breaker and breaker[1] or 0, breaker and breaker[2],
  }
end

-- How many entries of an index come before this rank and id.
function engine.number_before(index, rank, id)
  local number = call('ZCOUNT', index, '-inf', string.format('(%.0f', rank))
  for _, other in ipairs(call('ZRANGEBYSCORE', index, rank, rank, 'LIMIT', 0, 10000)) do
    if engine.before(other, id) then number = number + 1 end
  end
  return number
end
