-- Claims where there are gates: as in shared/claiming.lua, but each gated one changes what comes next.

-- A reader has the first entries of an index, {rank, id}, from `place` on. It is complete where there is no more to read.
local function reader_of(index, number)
  return { index = index, number = math.max(1, number), list = {}, place = 1, is_complete = false }
end

-- The entry that comes first.
local function head_of(reader)
  if reader.place > #reader.list and not reader.is_complete then
    engine.flush()
    local raw = call('ZRANGE', reader.index, 0, reader.number - 1, 'WITHSCORES')
    local ids = {}
    reader.list, reader.place = {}, 1
    for place = 1, #raw, 2 do
      local each = #ids + 1
      ids[each] = raw[place]
      reader.list[each] = { tonumber(raw[place + 1]), raw[place] }
    end
    reader.is_complete = #ids < reader.number
    engine.fetch(ids)
    engine.fetch_gating(ids)
  end
  return reader.list[reader.place]
end

-- Let a reader know of tokens that come and go.
local function follow(reader)
  function reader.put(order, id)
    reader.drop(id)
    local list = reader.list
    local place = #list + 1
    while place > reader.place and engine.precedes(order, id, list[place - 1][1], list[place - 1][2]) do place = place - 1 end
    if place <= #list or reader.is_complete then table.insert(list, place, { order, id }) end
  end
  function reader.drop(id)
    local list = reader.list
    for place = reader.place, #list do
      if list[place][2] == id then
        table.remove(list, place)
        return
      end
    end
  end
  return reader
end

-- Of each queue the index of plain invocations, and that of tokens.
local function readers_of(queues, number)
  local readers = {}
  engine.token_readers = {}
  for _, queue in ipairs(queues) do
    readers[#readers + 1] = reader_of(P .. 'q' .. queue, number)
    local reader = follow(reader_of(P .. 'Q' .. queue, number))
    readers[#readers + 1], engine.token_readers[queue] = reader, reader
  end
  return readers
end

local function first_of(readers)
  local found, head
  for _, reader in ipairs(readers) do
    local other = head_of(reader)
    if other and (not head or engine.precedes(other[1], other[2], head[1], head[2])) then found, head = reader, other end
  end
  return found, head and head[2]
end

-- Who has to go first for this one to come: with an ordering key the first of its lane.
function engine.in_turn(r)
  for _, gate in ipairs(r[C_GATED] and r[C_GATED][G_GATES] or {}) do
    if gate[GATE_BLOCKS] then return engine.record(engine.lane(r).first) end
  end
  return r
end

function engine.reject(r, gate)
  engine.finish_record(r, STATUS_DROPPED, '', gate[GATE_NAME] .. ' was closed', 0)
end

-- Let up to `want` suspended invocations of the session go on, one by one where there are gates.
function engine.resume_gated(session, want)
  local resumed = {}
  while #resumed < want do
    local id = call('ZRANGE', P .. 'r' .. session, 0, 0)[1]
    if not id then break end
    local r = engine.record(id)
    if not r or r[C_STATE] ~= READY or r[C_OWNER] ~= session then
      call('ZREM', P .. 'r' .. session, id)
    elseif not r[C_GATED] or engine.may_go_on(r) then
      resumed[#resumed + 1] = engine.go_on(r)
    end
    engine.flush()
  end
  return resumed
end

-- Wake one more session if a lane has more to claim: its token woke only the one that claims now.
function engine.wake_another(queues)
  if call('HLEN', P .. 'idle') == 0 then return end
  engine.flush()
  local readers = readers_of((engine.open_queues(queues)), 1)
  local _, id = first_of(readers)
  local r = id and engine.record(id)
  if r and r[C_GATED] and not engine.closed_gate(r) then
    engine.woken[r[C_QUEUE]] = (engine.woken[r[C_QUEUE]] or 0) + 1
  end
end

-- Hand up to `want` READY invocations of the queues to the session, by (rank, id), as `claim_new` does; return their claims
-- and how many closed gates were met.
local function claim_first(session, wanted, want, before)
  local taken, looked = {}, 0
  local readers = readers_of(engine.open_queues(wanted), want)
  -- An end may have made others READY, in any queue.
  local function look_again()
    engine.flush()
    readers = readers_of(engine.open_queues(wanted), want - #taken)
  end
  while #taken < want and looked < MOST_LOOKS do
    local reader, id = first_of(readers)
    local r = id and engine.record(id)
    if not id or (before and r and r[C_RANK] >= before) then break end
    if not r or r[C_STATE] ~= READY or r[C_OWNER] ~= 0 then
      call('ZREM', reader.index, id)
      reader.place = reader.place + 1
    elseif engine.has_expired(r) then
      look_again()
    else
      local gate = r[C_GATED] and engine.closed_gate(r)
      if not gate then
        if not r[C_GATED] then reader.place = reader.place + 1 end
        engine.take(r, session)
        taken[#taken + 1] = r
      else
        looked = looked + 1
        if gate[GATE_MODE] == GATE_PARKS then
          engine.park(r, gate[GATE_NAME])
        else
          engine.reject(r, gate)
          look_again()
        end
      end
    end
  end
  if #taken > 0 and #taken == want then engine.wake_another(wanted) end
  return taken, looked
end

-- The first `number` entries of an index that somebody waits for or comes after, and children, but those passed over.
local function awaited_in(index, before, number, passed_over)
  local found, place = {}, 0
  local below = before and string.format('(%.0f', before) or '+inf'
  repeat
    local entries = call('ZRANGEBYSCORE', index, '-inf', below, 'WITHSCORES', 'LIMIT', place, LOOK_AHEAD)
    for at = 1, #entries, 2 do
      local id = entries[at]
      if #found < number and not passed_over[id]
        and (call('EXISTS', P .. 'd' .. id) == 1 or call('GETRANGE', P .. 'c' .. id, 0, 0) == IS_CHILD) then
        found[#found + 1] = { tonumber(entries[at + 1]), id }
      end
    end
    place = place + LOOK_AHEAD
  until #found == number or #entries < 2 * LOOK_AHEAD
  return found
end

-- The first `number` of all queues, by (rank, id).
local function awaited_of(queues, before, number, passed_over)
  local found = {}
  for _, queue in ipairs(queues) do
    for _, index in ipairs({ 'q', 'A' }) do
      for _, entry in ipairs(awaited_in(P .. index .. queue, before, number, passed_over)) do found[#found + 1] = entry end
    end
  end
  table.sort(found, function(one, other) return engine.precedes(one[1], one[2], other[1], other[2]) end)
  for place = #found, number + 1, -1 do found[place] = nil end
  return found
end

-- Claims of what somebody needs: see claim_awaited.
local function awaited_claim(session, want, passed_over)
  local claim = { taken = {}, looked = 0 }

  function claim.is_over() return #claim.taken >= want or claim.looked >= MOST_LOOKS end

  -- Take what has to go for this one to come; return whether an end may have made others READY.
  function claim.look_at(id)
    local r = engine.record(id)
    r = r and engine.in_turn(r)
    if not r or r[C_STATE] ~= READY or r[C_OWNER] ~= 0 then
      passed_over[id] = true
      return false
    end
    if engine.has_expired(r) then return true end
    local gate = r[C_GATED] and engine.closed_gate(r)
    if not gate then
      engine.take(r, session)
      claim.taken[#claim.taken + 1] = r
      return r.id ~= id and not claim.is_over() and claim.look_at(id)
    end
    claim.looked = claim.looked + 1
    if gate[GATE_MODE] == GATE_PARKS then
      passed_over[id] = true
      return false
    end
    engine.reject(r, gate)
    return true
  end
  return claim
end

-- Hand out only what somebody waits for or comes after, and children; closed gates are passed over.
local function claim_awaited(session, queues, want, before)
  local passed_over = {}
  local claim = awaited_claim(session, want, passed_over)
  local is_complete = false
  while not claim.is_over() and not is_complete do
    local number = want - #claim.taken + MOST_TRIALS
    local found = awaited_of(queues, before, number, passed_over)
    is_complete = #found < number
    for _, entry in ipairs(found) do
      if claim.is_over() then break end
      if claim.look_at(entry[2]) then
        is_complete = false
        break
      end
    end
    engine.flush()
  end
  return claim.taken, claim.looked
end

function engine.claim_gated(session, wanted, want, before, awaited)
  local taken, looked
  if awaited then
    local queues = {}
    for _, queue in ipairs(#wanted > 0 and engine.distinct(wanted) or call('SMEMBERS', P .. 'queues')) do
      if engine.serves(wanted, queue) and call('HEXISTS', P .. 'paused', queue) == 0 then
        queues[#queues + 1] = queue
      end
    end
    taken, looked = claim_awaited(session, queues, want, before)
  else
    taken, looked = claim_first(session, wanted, want, before)
  end
  engine.flush()
  return engine.claims_of(taken), #taken, looked
end
