-- I1, I4 and I5 of what is gated: one place each, units only for those inside, trials for whatever could pass.

local STATE_NAMES = { [0] = 'BLOCKED', 'READY', 'OWNED', 'SUSPENDED' }
local checked = {}

-- Whether a record may have a unit of a gate.
function engine.may_hold(r, name)
  local gate = r and r[C_GATED] and engine.gate_named(r, name)
  if not gate then return false end
  if r[C_STATE] == OWNED then return true end
  local is_slots = string.byte(name) == KIND_SLOTS
  if r[C_OWNER] ~= 0 then return is_slots and gate[GATE_HOLDS] end
  return r[C_STATE] == BLOCKED and is_slots and gate[GATE_BLOCKS]
end

-- Whether an entry of the index of a queue's tokens is where it should be.
function engine.is_token(r)
  if not r[C_GATED] or r[C_STATE] ~= READY or r[C_OWNER] ~= 0 then return false end
  local lane = engine.lane(r)
  if lane.first ~= r.id or lane.parked then return false end
  local share = lane.flow and engine.share(lane.queue, lane.flow)
  return not lane.flow or (share and share[2] == r.id)
end

local function is_at(index, id, rank)
  local score = call('ZSCORE', index, id)
  return score and tonumber(score) == rank
end

local function check_lane(r, report)
  local lane = engine.lane(r)
  local members = P .. 'L' .. lane.key
  local first, size = call('ZRANGE', members, 0, 0)[1], call('ZCARD', members)
  if lane.size == 1 then first, size = lane.first, size + 1 end
  local is_listed = lane.size == 1 and lane.first == r.id or is_at(members, r.id, r[C_RANK])
  if not is_listed then report('I1', r.id, 'its lane does not list it') end
  if first ~= lane.first or size ~= lane.size then
    report('I1', r.id, 'its lane does not know its first member, or how many they are')
  end
  if lane.first ~= r.id then return end
  local share = lane.flow and not lane.parked and engine.share(lane.queue, lane.flow)
  local has_index = lane.parked or lane.flow
  local is_placed = is_at(has_index and engine.index_of(lane) or P .. 'Q' .. lane.queue, r.id, r[C_RANK])
  if lane.flow and not lane.parked then
    is_placed = is_placed and share and call('ZSCORE', P .. 'Q' .. lane.queue, share[2])
  end
  if not is_placed then report('I1', r.id, 'the lane that begins with it has no token') end
  local trials = lane.trial and engine.gate(lane.trial).trials[lane.queue]
  if lane.trial and not (trials and trials[lane.key]) then
    report('I5', r.id, 'tries ' .. lane.trial .. ', which does not know of it')
  end
end

local function check_resume(r, report)
  local gated = r[C_GATED]
  if gated[G_PARKED] and not is_at(P .. 'R' .. gated[G_PARKED], r.id, r[C_RANK]) then
    report('I1', r.id, 'resumable, but not before ' .. gated[G_PARKED])
  end
  if gated[G_TRIAL] and not engine.gate(gated[G_TRIAL]).kept[r.id] then
    report('I5', r.id, 'tries ' .. gated[G_TRIAL] .. ', which does not know of it')
  end
end

local function check_units(name, report)
  local raw, most = call('HGETALL', P .. 'H' .. name), 0
  for place = 1, #raw, 2 do
    local r = engine.record(raw[place])
    most = math.max(most, unpack_record(raw[place + 1])[UNIT_LIMIT])
    if not engine.may_hold(r, name) then
      report('I4', raw[place], 'holds ' .. name .. ', but is ' .. (r and STATE_NAMES[r[C_STATE]] or 'nowhere'))
    end
  end
  if #raw / 2 > most then
    report('I5', '', #raw / 2 .. ' are inside ' .. name .. ', more than any limit they came in under')
  end
end

-- What gates know has to be what is there.
local function check_counts(name, report)
  local gate = engine.gate(name)
  local function compare(what, known, found)
    if known ~= found then report('I5', '', name .. ' counts ' .. known .. ' ' .. what .. ' instead of ' .. found) end
  end
  local units, lent = call('HVALS', P .. 'H' .. name), 0
  for _, unit in ipairs(units) do
    if unpack_record(unit)[UNIT_LENDERS][1] then lent = lent + 1 end
  end
  compare('inside', gate.inside, #units)
  compare('lent units', gate.lent, lent)
  compare('resumable ones', gate.resumes, call('ZCARD', P .. 'R' .. name))
  for queue, number in pairs(gate.parked) do
    compare('lanes of ' .. queue, number, call('ZCARD', engine.parked_index(name, queue)))
  end
  for queue, keys in pairs(gate.trials) do
    for key in pairs(keys) do
      local lane = engine.lane_of(key)
      if not lane or lane.trial ~= name then
        report('I5', '', name .. ' is tried by a lane of ' .. queue .. ' that is gone')
      end
    end
  end
  for id in pairs(gate.kept) do
    local r = engine.record(id)
    if not r or not r[C_GATED] or r[C_GATED][G_TRIAL] ~= name then
      report('I5', id, 'a unit of ' .. name .. ' is kept for it, but it does not try it')
    end
  end
end

-- Whether one more has to try a gate. Where time opens it one that tries is enough, and a timer is none.
local function has_to_try(r, gate, trying)
  local room = engine.room(engine.gate_named(r, gate.name))
  if gate.kind == KIND_SLOTS then return math.min(room, MOST_TRIALS) > trying end
  return room > 0 and trying == 0 and not call('ZSCORE', P .. 'gates:timers', gate.name)
end

-- A unit that is free is tried.
local function check_trials(name, report)
  local gate = engine.gate(name)
  local r = engine.first_of(P .. 'R' .. name)
  if r and has_to_try(r, gate, gate.kept_number) then
    report('I5', r.id, 'is parked before ' .. name .. ', which is open')
  end
  for queue in pairs(gate.parked) do
    r = engine.first_of(engine.parked_index(name, queue))
    if r and has_to_try(r, gate, engine.trying_for(r, gate)) then
      report('I5', r.id, 'its lane is parked before ' .. name .. ', which is open')
    end
  end
end

function engine.check_gates(r, report)
  local gated, ready = r[C_GATED], r[C_STATE] == READY
  if ready and r[C_OWNER] == 0 then
    check_lane(r, report)
  elseif ready then
    check_resume(r, report)
  end
  if (gated[G_PARKED] or gated[G_TRIAL]) and not (ready and r[C_OWNER] ~= 0) then
    report('I1', r.id, STATE_NAMES[r[C_STATE]] .. ', but parked before a gate, or trying one')
  end
  for _, gate in ipairs(gated[G_GATES]) do
    local name = gate[GATE_NAME]
    if r[C_STATE] == OWNED and engine.misses(r, gate) then report('I4', r.id, 'runs without a unit of its gates') end
    if not checked[name] then
      checked[name] = true
      check_units(name, report)
      check_counts(name, report)
      check_trials(name, report)
    end
  end
end
