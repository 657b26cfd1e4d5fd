-- `tick`: whatever is due, each thing once, whoever calls.

-- How long until the earliest timer or end of a lease; false without any.
function engine.next_due()
  local timer = call('ZRANGE', P .. 't', 0, 0, 'WITHSCORES')[2]
  local gate = engine.gate_due and engine.gate_due()
  if gate and (not timer or gate < tonumber(timer)) then timer = gate end
  local lease = call('ZRANGE', P .. 'l', 0, 0, 'WITHSCORES')[2]
  if not timer and not lease then return false end
  return math.max(0, math.min(tonumber(timer or lease), tonumber(lease or timer)) - now)
end

function engine.handle_due(r)
  local expires = r[C_EXPIRES_AT]
  if expires and expires <= now and (r[C_STATE] == BLOCKED or (r[C_STATE] == READY and r[C_OWNER] == 0)) then
    engine.expire(r)
  elseif r[C_STATE] == SUSPENDED then
    engine.resume(r, true)
  else
    r[C_STATE], r[C_NOT_BEFORE] = READY, false
    if r[C_REASON] == REASON_DELAYED then r[C_REASON] = REASON_NEW end
    engine.touch(r)
    engine.ready(r)
    if r[C_GATED] then engine.give_up(r, false) end
  end
end

-- In order of time. What changed others may have made one of them due before the rest: look again.
function engine.tick_timers(budget)
  local handled = 0
  while handled < budget do
    local opens = engine.gate_due and engine.gate_due() or math.huge
    local due = call('ZRANGEBYSCORE', P .. 't', '-inf', math.min(opens, now), 'LIMIT', 0, budget - handled)
    if #due == 0 then
      if opens > now then break end
      local _, gate = engine.gate_due()
      engine.activate(gate)
      handled = handled + 1
    end
    engine.fetch(due)
    for _, id in ipairs(due) do
      local r = engine.record(id)
      local moment = r and engine.due_of(r)
      if moment and moment <= now then
        local others = #touched + 1
        engine.handle_due(r)
        handled = handled + 1
        if #touched > others then break end
      elseif not r then
        call('ZREM', P .. 't', id)
      elseif not r.touched then
        -- The index was wrong: the record is right.
        call('ZREM', P .. 't', id)
        if moment then call('ZADD', P .. 't', moment, id) end
      end
    end
    engine.flush()
  end
  return handled
end

function engine.tick_sessions(budget)
  local expired = call('ZRANGEBYSCORE', P .. 'l', '-inf', now)
  for place = 1, #expired do expired[place] = tonumber(expired[place]) end
  table.sort(expired)
  local handled = math.min(budget, #expired)
  for place = 1, handled do engine.end_session(expired[place], true) end
  return handled
end

function engine.tick_retention(budget)
  local over = call('ZRANGEBYSCORE', P .. 'e', '-inf', now, 'LIMIT', 0, budget)
  for _, id in ipairs(over) do
    local o = engine.outcome(id)
    if o then engine.forget(id, o) else call('ZREM', P .. 'e', id) end
  end
  if #over > 0 and call('EXISTS', P .. 'data', P .. 'ended') > 0 then engine.drop_unnamed(budget) end
  return #over
end

-- All of a tick: how much was handled, and whether a budget ran out.
function engine.tick(budget)
  local timers = engine.tick_timers(budget)
  local sessions = engine.tick_sessions(budget)
  local retained = engine.tick_retention(budget)
  if engine.drop_idle_rates then engine.drop_idle_rates(budget) end
  return timers + sessions + retained, timers >= budget or sessions >= budget or retained >= budget
end
