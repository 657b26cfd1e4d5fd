-- `suspend`: check and register as one unit.

function engine.outcomes_of(ids)
  local final = {}
  for _, id in ipairs(ids) do
    local o = engine.outcome(id)
    if o then final[#final + 1] = { id, o } end
  end
  return final
end

-- The cycle that `waiter` would close by waiting for `waited`: a walk over those that wait for it, and theirs.
function engine.cycle_of(waiter, waited)
  local wanted, towards, seen, frontier = {}, {}, { [waiter] = true }, { waiter }
  for _, id in ipairs(waited) do wanted[id] = true end
  if wanted[waiter] then return { waiter, waiter } end
  local place = 1
  while frontier[place] do
    local reached = frontier[place]
    for _, upstream in ipairs(engine.sorted_ids(call('SMEMBERS', P .. 'd' .. reached))) do
      if not seen[upstream] then
        seen[upstream], towards[upstream] = true, reached
        if wanted[upstream] then
          local path = { waiter, upstream }
          while path[#path] ~= waiter do path[#path + 1] = towards[path[#path]] end
          return path
        end
        frontier[#frontier + 1] = upstream
      end
    end
    place = place + 1
  end
end

function engine.register_wait(r, waits, awaited, need, timeout)
  for _, id in ipairs(awaited) do engine.add_edge(r, engine.record(id)) end
  r[C_WAITS], r[C_NEED_LEFT] = table.concat(waits), need
  r[C_STATE], r[C_EXPIRES_AT], r[C_SUSPENDED_AT] = SUSPENDED, false, now
  r[C_WAIT_UNTIL] = timeout and now + timeout
  engine.touch(r)
  if r[C_GATED] then engine.suspend_units(r) end
end

-- Whether an ordering key says that it overtakes nothing.
local function keeps_order(r)
  for _, gate in ipairs(r[C_GATED] and r[C_GATED][G_GATES] or {}) do
    if gate[GATE_BLOCKS] then return true end
  end
  return false
end

-- Move a record that nobody runs yet to a lower rank, in its index or lane too.
local function move_to(r, rank)
  local queued = r[C_STATE] == READY
  if queued and r[C_GATED] then engine.withdraw(r) end
  r[C_RANK] = rank
  engine.touch(r)
  if not queued then return end
  call('ZADD', P .. (r[C_GATED] and 'A' or 'q') .. r[C_QUEUE], rank, r.id)
  if r[C_GATED] then
    engine.enter_lane(r)
  else
    engine.woken[r[C_QUEUE]] = (engine.woken[r[C_QUEUE]] or 0) + 1
  end
end

-- Move what nobody runs yet before the waiter: what it waits for, and what that waits for in turn.
function engine.inherit(waiter, awaited)
  local rank, found, order = math.max(0, waiter[C_RANK] - 1), {}, {}
  local function add(ids)
    for _, id in ipairs(ids) do
      if not found[id] then
        found[id] = true
        order[#order + 1] = id
      end
    end
  end
  add(awaited)
  local place = 1
  while order[place] and place <= MOST_INHERITING do
    local r = engine.record(order[place])
    if r then
      if r[C_OWNER] == 0 and r[C_RANK] > rank and not keeps_order(r) then move_to(r, rank) end
      add(engine.sorted_ids(call('SMEMBERS', P .. 'p' .. r.id)))
    end
    place = place + 1
  end
end

-- Suspend a run until enough of what it names is final, unless it is already, or never would be.
function engine.suspend(r, ran, worker, waits, need, timeout, inherits)
  if r[C_STATE] ~= OWNED then return VERDICT_ACCEPTED end
  waits = engine.distinct(engine.split_ids(waits))
  engine.fetch(waits)
  local awaited = {}
  for _, id in ipairs(waits) do
    if engine.record(id) then
      awaited[#awaited + 1] = id
    elseif not engine.outcome(id) then
      return { VERDICT_UNKNOWN, {}, { id } }
    end
  end
  local final = #waits - #awaited
  need = math.min(need, #waits)
  if need == 0 then need = #waits end
  if final >= need then return { VERDICT_SATISFIED, engine.outcomes_of(waits), {} } end
  local cycle = engine.cycle_of(r.id, awaited)
  if cycle then return { VERDICT_WAIT_CYCLE, {}, cycle } end
  engine.note_run(r, ran, worker)
  if r[C_CANCEL_REQUESTED] then
    engine.notify_cancel(r, 'cancelled while running')
    engine.finish_record(r, STATUS_CANCELLED, '', 'cancelled while running', 0)
  else
    engine.register_wait(r, waits, awaited, need - final, timeout)
    if inherits then engine.inherit(r, awaited) end
  end
  return VERDICT_ACCEPTED
end
