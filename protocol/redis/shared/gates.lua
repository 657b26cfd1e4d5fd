-- Gates: who is inside, who may pass, who is let out to try when one opens; see SEMANTICS.md, "Lanes and gates".

-- --- how a gate stands ---

function engine.limit_of(gate)
  local setting = engine.setting(gate[GATE_NAME])
  return setting and setting[1] or gate[GATE_LIMIT]
end

-- Interval and burst.
function engine.rate_of(gate)
  local setting = engine.setting(gate[GATE_NAME])
  if setting then return setting[1], setting[2] end
  return gate[GATE_INTERVAL], gate[GATE_BURST]
end

-- How many more may pass now, were nobody waiting.
function engine.room(gate)
  local name = gate[GATE_NAME]
  local kind = string.byte(name)
  if kind == KIND_SLOTS then return engine.limit_of(gate) - engine.gate(name).inside end
  if kind == KIND_RATE then
    local interval, burst = engine.rate_of(gate)
    return math.floor((now + burst * interval - math.max(engine.arrival(name), now)) / interval)
  end
  local breaker = engine.breaker(name)
  if not breaker or not breaker[3] then return MOST_TRIALS end
  return now < breaker[3] and 0 or 1 - engine.gate(name).inside
end

-- When time alone opens a gate; false: time has no part in it.
function engine.opens_at(gate)
  local name = gate[GATE_NAME]
  local kind = string.byte(name)
  if kind == KIND_SLOTS then return false end
  if kind == KIND_BREAKER then
    local breaker = engine.breaker(name)
    return breaker and breaker[3]
  end
  local interval, burst = engine.rate_of(gate)
  return engine.arrival(name) - (burst - 1) * interval
end

-- The gate before which an invocation that is not final, or its lane, is parked.
function engine.parked_before(id)
  local r = engine.record(id)
  if not r or not r[C_GATED] or r[C_STATE] ~= READY then return false end
  if r[C_OWNER] ~= 0 then return r[C_GATED][G_PARKED] end
  return engine.lane(r).parked
end

function engine.gate_named(r, name)
  for _, gate in ipairs(r[C_GATED][G_GATES]) do
    if gate[GATE_NAME] == name then return gate end
  end
end

function engine.holds_unit(id, name)
  return call('HEXISTS', P .. 'H' .. name, id) == 1
end

-- Whether an invocation that runs has to be inside this gate, and is not.
function engine.misses(r, gate)
  return string.byte(gate[GATE_NAME]) == KIND_SLOTS and not engine.holds_unit(r.id, gate[GATE_NAME])
end

-- Whether a holder lends its unit: it waits for others.
function engine.lends(id, name)
  local r = engine.record(id)
  return r and r[C_STATE] == SUSPENDED and engine.holds_unit(id, name)
end

-- The nearest ancestor on whose unit a gate can be passed.
function engine.lender(name, lenders)
  for _, id in ipairs(engine.lenders_for(lenders, name)) do
    if engine.lends(id, name) then return id end
  end
end

-- How many units are kept for resumable invocations other than this one.
function engine.kept_for_others(name, r)
  return engine.gate(name).kept_number - (r[C_GATED][G_TRIAL] == name and 1 or 0)
end

function engine.is_stopped(r, gate, lenders)
  local name = gate[GATE_NAME]
  return engine.room(gate) <= engine.kept_for_others(name, r) and not engine.lender(name, lenders)
end

-- The first gate that stops a READY invocation without an owner, if there is one.
function engine.closed_gate(r)
  local lenders = r[C_GATED][G_LENDERS] or {}
  for _, gate in ipairs(r[C_GATED][G_GATES]) do
    if engine.is_stopped(r, gate, lenders) then return gate end
  end
end

-- --- passing ---

-- A unit for an invocation; the first of the lenders that still waits gets it back.
function engine.put_unit(name, id, lenders, limit)
  local gate = engine.gate(name)
  gate.inside = gate.inside + call('HSET', P .. 'H' .. name, id, pack({ now, lenders, limit }))
  if lenders[1] then gate.lent = gate.lent + 1 end
  engine.touch_gate(gate)
end

-- Find out anew how many are inside.
function engine.count_inside(name)
  local gate, units = engine.gate(name), call('HVALS', P .. 'H' .. name)
  gate.inside, gate.lent = #units, 0
  for _, unit in ipairs(units) do
    if unpack_record(unit)[UNIT_LENDERS][1] then gate.lent = gate.lent + 1 end
  end
  engine.touch_gate(gate)
end

-- Take the unit of an invocation away and return it, if it has one.
function engine.drop_unit(name, id)
  local kept = call('HGET', P .. 'H' .. name, id)
  if not kept then return end
  call('HDEL', P .. 'H' .. name, id)
  local gate, unit = engine.gate(name), unpack_record(kept)
  gate.inside = gate.inside - 1
  if unit[UNIT_LENDERS][1] then gate.lent = gate.lent - 1 end
  engine.touch_gate(gate)
  return unit
end

-- The same where it is enough to know the lenders.
function engine.take_unit_back(name, id)
  local gate = engine.gate(name)
  if gate.lent > 0 then return engine.drop_unit(name, id) end
  if gate.inside == 0 or call('HDEL', P .. 'H' .. name, id) == 0 then return end
  gate.inside = gate.inside - 1
  engine.touch_gate(gate)
  return { now, {}, 0 }
end

function engine.take_unit(r, gate, lenders)
  local name = gate[GATE_NAME]
  if engine.room(gate) > engine.kept_for_others(name, r) then
    engine.put_unit(name, r.id, {}, engine.limit_of(gate))
  else
    local lender = engine.lender(name, lenders)
    local lent = engine.drop_unit(name, lender)
    table.insert(lent[UNIT_LENDERS], 1, lender)
    engine.put_unit(name, r.id, lent[UNIT_LENDERS], lent[UNIT_LIMIT])
  end
end

function engine.pass(r, passed, lenders)
  for _, gate in ipairs(passed) do
    local name = gate[GATE_NAME]
    local kind = string.byte(name)
    if kind == KIND_SLOTS then
      engine.take_unit(r, gate, lenders)
    elseif kind == KIND_RATE then
      engine.put_arrival(name, math.max(engine.arrival(name), now) + engine.rate_of(gate))
    else
      local breaker = engine.breaker(name)
      if breaker and breaker[3] then engine.put_unit(name, r.id, {}, 1) end
    end
  end
end

-- Let an invocation pass its gates, which are open, and take it out of its lane.
function engine.start(r)
  local lane = engine.lane(r)
  engine.pass(r, r[C_GATED][G_GATES], lane.lenders)
  local trial = engine.end_trial(lane)
  if lane.flow then engine.go_on_in_time(lane.queue, lane.flow) end
  engine.leave_lane(r)
  if lane.flow and call('EXISTS', engine.flow_index(lane.queue, lane.flow)) == 1 then
    engine.place_share(lane.queue, lane.flow)
  end
  engine.left_lane(lane)
  if trial then engine.activate(trial) end
end

-- Park the lane of an invocation that a gate stops, and let others try what its lane was let out for.
function engine.park(r, name)
  local lane = engine.lane(r)
  local trial = engine.end_trial(lane)
  engine.move_lane(lane, name, false)
  if trial and trial ~= name then engine.activate(trial) end
  engine.activate(name)
end

function engine.begin_trial(lane, name)
  local gate = engine.gate(name)
  gate.trials[lane.queue] = gate.trials[lane.queue] or {}
  gate.trials[lane.queue][lane.key] = true
  engine.touch_gate(gate)
end

-- How many lanes of a queue try a gate that come before this rank and id.
function engine.trying_before(gate, queue, rank, id)
  local number = 0
  for key in pairs(gate.trials[queue] or {}) do
    local lane = engine.lane_of(key)
    if lane and engine.precedes(lane.rank, lane.first, rank, id) then number = number + 1 end
  end
  return number
end

-- Return what the lane tried, if it did.
function engine.end_trial(lane)
  local trial = lane.trial
  if not trial then return false end
  local gate = engine.gate(trial)
  local trying = gate.trials[lane.queue]
  if trying then trying[lane.key] = nil end
  engine.touch_gate(gate)
  lane.trial = false
  engine.touch_lane(lane)
  return trial
end

-- --- opening ---

-- Let out as many as may pass now, resumable invocations first, then lanes of each queue; set the timer.
function engine.activate(name)
  local gate = engine.gate(name)
  engine.activate_resumes(gate)
  local queues = {}
  for queue in pairs(gate.parked) do queues[#queues + 1] = queue end
  for _, queue in ipairs(engine.sorted_ids(queues)) do engine.activate_lanes(gate, queue) end
  if gate.kind ~= KIND_SLOTS then engine.set_timer(gate) end
end

function engine.first_of(index)
  local id = call('ZRANGE', index, 0, 0)[1]
  return id and engine.record(id)
end

-- How many try a gate, or may before this first member of a parked lane does.
function engine.trying_for(r, gate)
  return gate.kept_number + engine.trying_before(gate, r[C_QUEUE], r[C_RANK], r.id)
end

function engine.could_try(r, name, trying)
  return math.min(engine.room(engine.gate_named(r, name)), MOST_TRIALS) > trying
end

function engine.activate_resumes(gate)
  while gate.resumes > 0 do
    local r = engine.first_of(P .. 'R' .. gate.name)
    if not r or not engine.could_try(r, gate.name, gate.kept_number) then break end
    engine.keep_unit_for(gate, r.id, true)
    engine.let_go_on(r, gate.name)
  end
end

function engine.activate_lanes(gate, queue)
  local index = engine.parked_index(gate.name, queue)
  while gate.parked[queue] do
    local r = engine.first_of(index)
    if not r or not engine.could_try(r, gate.name, engine.trying_for(r, gate)) then break end
    local lane = engine.lane(r)
    engine.begin_trial(lane, gate.name)
    engine.let_out(lane, gate.name)
  end
end

function engine.let_out(lane, trial)
  engine.move_lane(lane, false, trial)
  engine.woken[lane.queue] = (engine.woken[lane.queue] or 0) + 1
end

-- When the first gate opens by time, and which it is.
function engine.gate_due()
  local first = call('ZRANGE', P .. 'gates:timers', 0, 0, 'WITHSCORES')
  return tonumber(first[2]), first[1]
end

function engine.set_timer(gate)
  local soonest
  for queue in pairs(gate.parked) do
    local r = engine.first_of(engine.parked_index(gate.name, queue))
    local opens = r and engine.opens_at(engine.gate_named(r, gate.name))
    if opens and opens > now and (not soonest or opens < soonest) then soonest = opens end
  end
  if not soonest then
    call('ZREM', P .. 'gates:timers', gate.name)
    return
  end
  local first = engine.gate_due()
  call('ZADD', P .. 'gates:timers', soonest, gate.name)
  if (not first or soonest < first) and (not engine.earliest or soonest < engine.earliest) then engine.earliest = soonest end
end

-- --- leaving ---

-- Take the token of an invocation, or its place in its lane, away; it is still what it was.
function engine.withdraw(r)
  if r[C_STATE] == READY and r[C_OWNER] == 0 then engine.left_lane(engine.leave_lane(r)) end
  engine.unpark_resume(r)
  engine.end_resume_trial(r)
end

-- Give up what a lane that lost a member was trying or waiting for.
function engine.left_lane(lane)
  if lane.first then
    -- It comes later now than it did, perhaps later than one that is parked.
    if lane.trial then engine.activate(lane.trial) end
    return
  end
  local trial, parked = engine.end_trial(lane), lane.parked
  lane.parked = false
  if trial then engine.activate(trial) end
  if parked then engine.activate(parked) end
end

-- Give all units of an invocation back; `keeps_blocking`: all but those that stay with it while its retry is delayed.
function engine.give_up(r, keeps_blocking)
  for _, gate in ipairs(r[C_GATED][G_GATES]) do
    if not (keeps_blocking and gate[GATE_BLOCKS]) then engine.give_unit_up(r.id, gate[GATE_NAME]) end
  end
end

-- Give the units of a run that waits back, and lend those that it keeps. A trial run gives its unit back too: what it
-- waits for may stand before the same breaker.
function engine.suspend_units(r)
  for _, gate in ipairs(r[C_GATED][G_GATES]) do
    local name = gate[GATE_NAME]
    if string.byte(name) == KIND_SLOTS and gate[GATE_HOLDS] then
      engine.lend(r.id, name)
    else
      engine.give_unit_up(r.id, name)
    end
  end
end

function engine.give_unit_up(id, name)
  local unit = string.byte(name) ~= KIND_RATE and engine.take_unit_back(name, id)
  if not unit then return end
  local lenders = unit[UNIT_LENDERS]
  while lenders[1] do
    local lender = table.remove(lenders, 1)
    if engine.wants_back(lender, name) then
      engine.put_unit(name, lender, lenders, unit[UNIT_LIMIT])
      engine.came_back(engine.record(lender), name)
      return
    end
  end
  engine.activate(name)
end

function engine.came_back(r, name)
  if r[C_GATED][G_PARKED] == name then
    engine.let_go_on(r, false)
  elseif r[C_GATED][G_TRIAL] == name then
    engine.end_resume_trial(r)
  end
  engine.lend(r.id, name)
end

function engine.wants_back(lender, name)
  local r = engine.record(lender)
  if not r or r[C_OWNER] == 0 or engine.holds_unit(lender, name) then return false end
  return r[C_STATE] == SUSPENDED or r[C_STATE] == READY
end

-- Let out whoever could pass a gate on the unit of this holder, if that waits for others.
function engine.lend(lender, name)
  if not engine.lends(lender, name) then return end
  local resumes, parked = {}, {}
  for _, token in ipairs(call('SMEMBERS', P .. 'K' .. lender .. name)) do
    local rest = string.sub(token, 2)
    if string.sub(token, 1, 1) == 'r' then
      local r = engine.record(rest)
      resumes[#resumes + 1] = { rank = r[C_RANK], first = rest, r = r }
    else
      parked[#parked + 1] = engine.lane_of(rest)
    end
  end
  local function by_order(one, other) return engine.precedes(one.rank, one.first, other.rank, other.first) end
  table.sort(resumes, by_order)
  table.sort(parked, by_order)
  for _, each in ipairs(resumes) do engine.let_go_on(each.r, false) end
  for _, lane in ipairs(parked) do engine.let_out(lane, false) end
end

-- --- breakers ---

-- Tell the breakers of an invocation how its attempt ended, before its units are given up.
function engine.report(r, failed)
  for _, gate in ipairs(r[C_GATED][G_GATES]) do
    if string.byte(gate[GATE_NAME]) == KIND_BREAKER then engine.report_to(r.id, gate, failed) end
  end
end

function engine.report_to(id, gate, failed)
  local name = gate[GATE_NAME]
  local known = engine.breaker(name)
  local is_open = known and known[3]
  if is_open and not engine.holds_unit(id, name) then return end
  if not failed then
    if known then engine.put_breaker(name, false) end
    return
  end
  known = known or { 0, false, false }
  known[1] = known[1] + 1
  if is_open or known[1] >= gate[GATE_FAILURES] then
    known[3] = now + gate[GATE_OPEN_FOR]
    known[2] = known[2] or now
  end
  engine.put_breaker(name, known)
end
