-- Claims: who gets the next invocation.

local LOOK_AHEAD = 200
-- How the stored call of an invocation with a parent begins.
local IS_CHILD = '\1'

-- Whether `r` should have started before now; then it has ended.
function engine.has_expired(r)
  if not r[C_EXPIRES_AT] or r[C_EXPIRES_AT] > now then return false end
  engine.expire(r)
  return true
end

function engine.take(r, session)
  if r[C_GATED] then engine.start(r) end
  r[C_STATE], r[C_OWNER], r[C_WORKER] = OWNED, session, 0
  r[C_EPOCH], r[C_ATTEMPT] = r[C_EPOCH] + 1, r[C_ATTEMPT] + 1
  r[C_CLAIMED_AT], r[C_STARTED_AT] = now, false
  if r[C_KEY] ~= '' and r[C_KEY_PHASE] == KEY_UNTIL_CLAIMED then engine.free_key(r.id, r[C_KEY]) end
  engine.touch(r)
end

-- What the owner of freshly claimed records gets, in order: {id, record, call} of each, end to end.
function engine.claims_of(taken)
  local keys, claims = {}, {}
  for place, r in ipairs(taken) do keys[place] = P .. 'c' .. r.id end
  local calls = engine.get_many(keys)
  for place, r in ipairs(taken) do
    claims[3 * place - 2], claims[3 * place - 1], claims[3 * place] = r.id, r.blob or engine.packed(r), calls[place] or ''
  end
  return claims
end

-- Let up to `want` suspended invocations of the session go on.
function engine.claim_resumable(session, want)
  local resumed = {}
  if want <= 0 then return resumed end
  for _, id in ipairs(call('ZRANGE', P .. 'r' .. session, 0, want - 1)) do
    local r = engine.record(id)
    if r and r[C_STATE] == READY and r[C_OWNER] == session then
      resumed[#resumed + 1] = engine.go_on(r)
    else
      call('ZREM', P .. 'r' .. session, id)
    end
  end
  engine.flush()
  return resumed
end

function engine.go_on(r)
  engine.write_attempt(r, REASON_WAITED, '', '')
  r[C_STATE], r[C_SUSPENDED_AT] = OWNED, false
  local resumed = { r.id, r[C_EPOCH], r[C_TIMED_OUT], engine.outcomes_of(engine.split_ids(r[C_WAITS])) }
  r[C_WAITS], r[C_TIMED_OUT] = '', false
  engine.touch(r)
  return resumed
end

-- The first `number` entries of a queue's ready index, of a lower rank than `before` unless that is false: id, rank, ...
function engine.first_ready(queue, before, number)
  if not before then return call('ZRANGE', P .. 'q' .. queue, 0, number - 1, 'WITHSCORES') end
  local below = string.format('(%.0f', before)
  return call('ZRANGEBYSCORE', P .. 'q' .. queue, '-inf', below, 'WITHSCORES', 'LIMIT', 0, number)
end

-- Of such entries those that somebody waits for or comes after, and children.
function engine.first_awaited(queue, before, number)
  local found, place = {}, 0
  local below = before and string.format('(%.0f', before) or '+inf'
  while #found < 2 * number do
    local entries = call('ZRANGEBYSCORE', P .. 'q' .. queue, '-inf', below, 'WITHSCORES', 'LIMIT', place, LOOK_AHEAD)
    for at = 1, #entries, 2 do
      local id = entries[at]
      local needed = call('EXISTS', P .. 'd' .. id) == 1 or call('GETRANGE', P .. 'c' .. id, 0, 0) == IS_CHILD
      if needed and #found < 2 * number then
        found[#found + 1], found[#found + 2] = id, entries[at + 1]
      end
    end
    if #entries < 2 * LOOK_AHEAD then break end
    place = place + LOOK_AHEAD
  end
  return found
end

-- Take the first `number` ids out of the ready indexes of these queues, by rank and id over all of them.
function engine.pop_ready(queues, before, awaited, number)
  local heads, ids = {}, {}
  for _, queue in ipairs(queues) do
    local first = awaited and engine.first_awaited or engine.first_ready
    local entries = first(queue, before, number)
    for place = 1, #entries, 2 do
      heads[#heads + 1] = { tonumber(entries[place + 1]), entries[place], queue }
    end
  end
  table.sort(heads, function(one, other)
    if one[1] ~= other[1] then return one[1] < other[1] end
    return engine.before(one[2], other[2])
  end)
  for place = 1, math.min(number, #heads) do
    ids[place] = heads[place][2]
    call('ZREM', P .. 'q' .. heads[place][3], heads[place][2])
  end
  return ids
end

-- Claim those of `ids`, which were taken out of their ready index, that are READY and have not expired: fill in their
-- records and calls in `claims`, where each has its place, and leave the rest out; return how many were claimed.
function engine.claim_others(session, ids, claims)
  local taken, place_of = {}, {}
  engine.fetch(ids)
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if r and r[C_STATE] == READY and r[C_OWNER] == 0 then
      r.ready = false
      if not engine.has_expired(r) then
        engine.take(r, session)
        taken[#taken + 1] = r
      end
    end
  end
  engine.flush()
  local rows = engine.claims_of(taken)
  for at = 1, #rows, 3 do place_of[rows[at]] = at end
  local size = 0
  for at = 1, #claims, 3 do
    local row = not claims[at + 1] and place_of[claims[at]]
    if row or claims[at + 1] then
      claims[size + 1] = claims[at]
      claims[size + 2], claims[size + 3] = claims[at + 1] or rows[row + 1], claims[at + 2] or rows[row + 2]
      size = size + 3
    end
  end
  for at = #claims, size + 1, -1 do claims[at] = nil end
  return #taken
end

-- Claim this very invocation where it is READY without an owner in one of the queues: verdict, record.
function engine.claim_one(session, id, queues)
  local r = engine.record(id)
  if not r then return engine.outcome(id) and CLAIM_FINAL or CLAIM_UNKNOWN end
  if r[C_OWNER] ~= 0 then return CLAIM_BUSY end
  if r[C_STATE] ~= READY or not engine.serves(queues, r[C_QUEUE])
    or call('HEXISTS', P .. 'paused', r[C_QUEUE]) == 1 then
    return CLAIM_NOT_READY
  end
  if engine.has_expired(r) then return CLAIM_FINAL end
  if r[C_GATED] and engine.is_mending then return CLAIM_BUSY end
  if r[C_GATED] and engine.in_turn(r) ~= r then return CLAIM_BUSY end
  local gate = r[C_GATED] and engine.closed_gate(r)
  if gate and gate[GATE_MODE] == GATE_PARKS then return CLAIM_BUSY end
  if gate then
    engine.reject(r, gate)
    return CLAIM_FINAL
  end
  engine.take(r, session)
  return CLAIM_CLAIMED, r
end
