-- verify: check the structural invariants of a part of the state, with `repair` rebuild what follows from the records.
--
-- ARGV[2]  {part, cursor, budget, repair}; parts, each called until its cursor is '' again:
--          'records' every known id; 'indexes' every entry of an index
-- Reply    {next cursor or '', violations {invariant, id or '', detail}}
-- Atomic per call, so that others get their turn in between; O(budget).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua
--- include shared/listing.lua
--- gated shared/gate_verifying.lua

local request = unpack_record(ARGV[2])
local part, cursor, budget, mends = request[1], request[2], request[3], request[4]
local STATES = { [0] = 'BLOCKED', 'READY', 'OWNED', 'SUSPENDED' }
local found = {}

local function report(invariant, id, detail)
  found[#found + 1] = { invariant, id, detail }
end

-- I1, I2, I7: the record's entry in an index is what it should be.
local function check_entry(invariant, r, name, wanted, what)
  local kind = string.sub(name, 1, 1)
  local is_set = kind == 'w'
  local entry
  if is_set then
    entry = call('SISMEMBER', P .. name, r.id) == 1
  else
    entry = call('ZSCORE', P .. name, r.id)
    entry = entry and tonumber(entry)
  end
  if entry == wanted then return end
  report(invariant, r.id, STATES[r[C_STATE]] .. ' ' .. what)
  if not mends then return end
  if not wanted then
    call(is_set and 'SREM' or 'ZREM', P .. name, r.id)
  elseif is_set then
    call('SADD', P .. name, r.id)
  else
    call('ZADD', P .. name, wanted, r.id)
  end
end

local function check_waits(r)
  local edges = call('SMEMBERS', P .. 'p' .. r.id)
  local waiting = (r[C_STATE] == BLOCKED or r[C_STATE] == SUSPENDED) and r[C_NEED_LEFT] > 0
  if not waiting and (#edges > 0 or r[C_NEED_LEFT] ~= 0) then
    report('I6', r.id, STATES[r[C_STATE]] .. ' with ' .. #edges .. ' edges')
  end
  if waiting and r[C_NEED_LEFT] > #edges then report('I6', r.id, 'needs ' .. r[C_NEED_LEFT] .. ' of ' .. #edges) end
  if r[C_STATE] == SUSPENDED and not waiting then report('I6', r.id, 'SUSPENDED without anything to wait for') end
  for _, waited in ipairs(edges) do
    local other = engine.record(waited)
    if not other or not engine.is_flagged(other[C_FLAGS], HAS_WAITERS)
      or call('SISMEMBER', P .. 'd' .. waited, r.id) == 0 then
      report('I6', r.id, 'waits for something that is final or does not know')
      if mends and other then
        call('SADD', P .. 'd' .. waited, r.id)
        if not engine.is_flagged(other[C_FLAGS], HAS_WAITERS) then
          other[C_FLAGS] = other[C_FLAGS] + HAS_WAITERS
          engine.touch(other)
        end
      elseif mends then
        call('SREM', P .. 'p' .. r.id, waited)
      end
    end
  end
end

-- I3: what ended dead is among the dead letters, once of all and once of its queue.
local function check_dead(id, o)
  local entry = engine.dead_entry(id, o)
  for _, name in ipairs(entry and { 'z', 'z' .. o[O_QUEUE] } or {}) do
    if not call('ZSCORE', P .. name, entry) then
      report('I3', id, 'ended ' .. o[O_STATUS] .. ', but is not listed in ' .. name)
      if mends then call('ZADD', P .. name, 0, entry) end
    end
  end
end

local function check_record(id)
  local r = engine.record(id)
  local o = engine.outcome(id)
  if (r and true or false) == (o and true or false) then
    report('I3', id, 'control record and outcome: both or neither')
  end
  if call('EXISTS', P .. 'c' .. id) == 0 then report('I3', id, 'a record without its call') end
  if o then check_dead(id, o) end
  if not r then return end
  local owner, ready = r[C_OWNER], r[C_STATE] == READY
  check_entry('I1', r, (r[C_GATED] and 'A' or 'q') .. r[C_QUEUE], ready and owner == 0 and r[C_RANK], 'and its token disagree')
  check_entry('I7', r, 't', engine.due_of(r), 'and its timer disagree')
  if r[C_STATE] == BLOCKED and r[C_NEED_LEFT] == 0 and not r[C_NOT_BEFORE] then
    report('I7', id, 'BLOCKED with nothing to wait for')
  end
  if owner ~= 0 then
    check_entry('I1', r, 'r' .. owner, ready and not engine.is_parked(r) and r[C_RANK], 'and its token disagree')
    check_entry('I2', r, 'w' .. owner, true, 'is not listed by its owner')
    if not call('ZSCORE', P .. 'l', owner) then report('I2', id, 'owner ' .. owner .. ' has ended') end
    if r[C_STATE] == BLOCKED then report('I2', id, 'BLOCKED, but owned by ' .. owner) end
  elseif r[C_STATE] == OWNED or r[C_STATE] == SUSPENDED then
    report('I2', id, STATES[r[C_STATE]] .. ' without an owner')
  end
  check_waits(r)
  if r[C_GATED] and engine.check_gates then engine.check_gates(r, report) end
  if r[C_ATTEMPT] < 0 or r[C_ATTEMPT] > r[C_EPOCH] then
    report('I8', id, 'attempt ' .. r[C_ATTEMPT] .. ' at epoch ' .. r[C_EPOCH])
  end
end

local function check_records()
  local ids = call('ZRANGEBYLEX', P .. 'all', cursor == '' and '-' or '(' .. cursor, '+', 'LIMIT', 0, budget)
  engine.fetch(ids)
  for _, id in ipairs(ids) do check_record(id) end
  return #ids < budget and '' or ids[#ids]
end

-- Entries of `name` whose record says otherwise.
local function check_index(name, invariant, ids, holds)
  engine.fetch(ids)
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if not r or not holds(r) then
      report(invariant, id, 'listed in ' .. name .. ', but its record says otherwise')
      if mends then call(string.sub(name, 1, 1) == 'w' and 'SREM' or 'ZREM', P .. name, id) end
    end
  end
end

-- Entries of an index of the dead that are not those of an outcome.
local function check_dead_index(name, queue, entries)
  for _, entry in ipairs(entries) do
    local id = string.sub(entry, 21)
    local o = engine.outcome(id)
    if not o or engine.dead_entry(id, o) ~= entry or (queue ~= '' and o[O_QUEUE] ~= queue) then
      report('I3', id, 'listed in ' .. name .. ', but it did not end so')
      if mends then call('ZREM', P .. name, entry) end
    end
  end
end

-- Whether a record belongs into an index of this kind, and of this queue or session.
local function holder_of_index(kind, rest)
  return function(r)
    if kind == 't' then return engine.due_of(r) end
    if kind == 'Q' then return engine.is_token and engine.is_token(r) and r[C_QUEUE] == rest end
    if kind == 'q' or kind == 'A' then
      local index = r[C_GATED] and 'A' or 'q'
      return r[C_STATE] == READY and r[C_OWNER] == 0 and r[C_QUEUE] == rest and kind == index
    end
    return r[C_OWNER] == tonumber(rest) and (kind == 'w' or (r[C_STATE] == READY and not engine.is_parked(r)))
  end
end

local function names_of_indexes()
  local names = { 't', 'z' }
  for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
    for _, kind in ipairs({ 'q', 'A', 'Q', 'z' }) do names[#names + 1] = kind .. queue end
  end
  for _, number in ipairs(engine.live_sessions()) do
    names[#names + 1] = 'w' .. number
    names[#names + 1] = 'r' .. number
  end
  return engine.sorted_ids(names)
end

-- The cursor is the name of an index and the place to go on at.
local function check_indexes()
  local names = names_of_indexes()
  local at, place = cursor ~= '' and string.sub(cursor, 21) or names[1], cursor ~= '' and string.sub(cursor, 1, 20) or '0'
  place = string.gsub(place, ' ', '')
  local kind, rest = string.sub(at, 1, 1), string.sub(at, 2)
  local reply = call(kind == 'w' and 'SSCAN' or 'ZSCAN', P .. at, place, 'COUNT', budget)
  local ids = {}
  for step = 1, #reply[2], kind == 'w' and 1 or 2 do ids[#ids + 1] = reply[2][step] end
  if kind == 'z' then
    check_dead_index(at, rest, ids)
  else
    check_index(at, kind == 't' and 'I7' or kind == 'w' and 'I2' or 'I1', ids, holder_of_index(kind, rest))
  end
  if reply[1] ~= '0' then return string.format('%20s', reply[1]) .. at end
  for _, name in ipairs(names) do
    if engine.before(at, name) then return string.format('%20s', '0') .. name end
  end
  return ''
end

local following = part == 'records' and check_records() or part == 'indexes' and check_indexes()
if part == 'records' and cursor == '' then
  for _, id in ipairs(call('SMEMBERS', P .. 'broken')) do report('I3', id, 'its record is damaged and was set aside') end
end
if mends then engine.flush() end
return pack({ following, found })
