-- What is kept of gates.
--
-- A gate is an array as submissions carry it: name, mode, then for slots limit, whether a run that waits holds its unit,
-- whether a delayed retry does; for rates interval and burst; for breakers failures and how long it is open then.
--   L<lane> members   M<lane> what follows from these   Q<queue> tokens   A<queue> READY and gated   f<queue> flows
--   B<gate, queue> tokens parked   R<gate> resumable ones parked   H<gate> units   K<id><gate> who could borrow its unit
--   G<gate> what follows from these
--   gates:settings   gates:rates   gates:breakers   gates:timers   gates:virtual

local gates, settings = {}, {} -- name -> what this call knows
local changed_gates = {}       -- gates that have to be written
local has_settings

-- What is kept of a gate: {how many are inside, how many resumable ones are parked, {queue, how many lanes are parked, ...},
-- {lane that tries it, its queue, ...}, ids for which a unit is kept, how many units are lent}.
local function adopt_gate(name, kept)
  local gate = {
    name = name, kind = string.byte(name), inside = 0, lent = 0, resumes = 0, parked = {}, trials = {}, kept = {},
    kept_number = 0,
  }
  gates[name] = gate
  if not kept then return gate end
  kept = unpack_record(kept)
  gate.inside, gate.resumes, gate.lent = kept[1], kept[2], kept[6]
  for place = 1, #kept[3], 2 do gate.parked[kept[3][place]] = kept[3][place + 1] end
  for place = 1, #kept[4], 2 do
    local queue = kept[4][place + 1]
    gate.trials[queue] = gate.trials[queue] or {}
    gate.trials[queue][kept[4][place]] = true
  end
  for _, id in ipairs(kept[5]) do gate.kept[id] = true end
  gate.kept_number = #kept[5]
  return gate
end

function engine.gate(name)
  return gates[name] or adopt_gate(name, call('GET', P .. 'G' .. name))
end

local function forget_gates()
  gates = {}
end

-- Load the gates of many records at once.
function engine.fetch_gates(all)
  local missing, keys, seen = {}, {}, {}
  for _, r in ipairs(all) do
    for _, gate in ipairs(r[C_GATED][G_GATES]) do
      local name = gate[GATE_NAME]
      if not gates[name] and not seen[name] then
        seen[name] = true
        missing[#missing + 1], keys[#keys + 1] = name, P .. 'G' .. name
      end
    end
  end
  local kept = engine.get_many(keys)
  for place, name in ipairs(missing) do adopt_gate(name, kept[place]) end
end

-- What is kept of a gate, false if that is nothing.
local function packed_gate(gate)
  local parked, trials, kept = {}, {}, {}
  for queue, number in pairs(gate.parked) do
    local size = #parked
    parked[size + 1], parked[size + 2] = queue, number
  end
  for queue, keys in pairs(gate.trials) do
    for key in pairs(keys) do
      local size = #trials
      trials[size + 1], trials[size + 2] = key, queue
    end
  end
  for id in pairs(gate.kept) do kept[#kept + 1] = id end
  local is_empty = gate.inside == 0 and gate.resumes == 0 and #parked + #trials + #kept == 0
  return not is_empty and pack({ gate.inside, gate.resumes, parked, trials, kept, gate.lent })
end

local function write_gates()
  local kept, gone = {}, {}
  for gate in pairs(changed_gates) do
    local packed, name = packed_gate(gate), P .. 'G' .. gate.name
    if packed then
      local size = #kept
      kept[size + 1], kept[size + 2] = name, packed
    else
      gone[#gone + 1] = name
    end
  end
  changed_gates = {}
  engine.call_many('MSET', nil, kept, 2)
  engine.call_many('DEL', nil, gone)
end

-- Note that a gate has to be written.
function engine.touch_gate(gate)
  changed_gates[gate] = true
end

-- What was set live for a gate or flow: {limit}, {interval, burst} or {weight}; else false.
function engine.setting(name)
  local known = settings[name]
  if known == nil then
    if has_settings == nil then has_settings = call('EXISTS', P .. 'gates:settings') == 1 end
    local kept = has_settings and call('HGET', P .. 'gates:settings', name)
    known = kept and unpack_record(kept)
    settings[name] = known
  end
  return known
end

function engine.count_parked(name, queue, number)
  local gate = engine.gate(name)
  local left = (gate.parked[queue] or 0) + number
  gate.parked[queue] = left > 0 and left or nil
  changed_gates[gate] = true
end

function engine.count_resumes(name, number)
  local gate = engine.gate(name)
  gate.resumes = math.max(0, gate.resumes + number)
  changed_gates[gate] = true
end

function engine.keep_unit_for(gate, id, is_kept)
  if (gate.kept[id] or false) == is_kept then return end
  gate.kept[id] = is_kept or nil
  gate.kept_number = gate.kept_number + (is_kept and 1 or -1)
  changed_gates[gate] = true
end

-- The theoretical arrival time of a rate gate, 0 if nothing passed it lately.
function engine.arrival(name)
  local gate = engine.gate(name)
  if not gate.arrival then gate.arrival = tonumber(call('ZSCORE', P .. 'gates:rates', name) or 0) end
  return gate.arrival
end

function engine.put_arrival(name, arrival)
  engine.gate(name).arrival = arrival
  call('ZADD', P .. 'gates:rates', arrival, name)
end

-- Forget theoretical arrival times that have passed: they say nothing any more.
function engine.drop_idle_rates(most)
  local idle = call('ZRANGEBYSCORE', P .. 'gates:rates', '-inf', now, 'LIMIT', 0, most)
  for _, name in ipairs(idle) do engine.gate(name).arrival = 0 end
  engine.call_many('ZREM', P .. 'gates:rates', idle)
end

-- {failures, open since or false, open until or false} of a task that fails, else false.
function engine.breaker(name)
  local gate = engine.gate(name)
  if gate.breaker == nil then
    local kept = call('HGET', P .. 'gates:breakers', name)
    gate.breaker = kept and unpack_record(kept)
  end
  return gate.breaker
end

function engine.put_breaker(name, breaker)
  engine.gate(name).breaker = breaker
  if breaker then
    call('HSET', P .. 'gates:breakers', name, pack(breaker))
  else
    call('HDEL', P .. 'gates:breakers', name)
  end
end
