-- The unit of work: records are loaded once, changed in memory, and written with their indexes by `flush`.
--
-- Which indexes a record belongs to follows from the record; `flush` writes the difference between what it was when it
-- was loaded and what it is now. So an index cannot be forgotten, and a batch costs one command per index.

--- include shared/ids.lua
--- include shared/texts.lua

local records = {}   -- id -> record, or false: no control record
local outcomes = {}  -- id -> outcome, or false
local touched = {}   -- records to write, in order
local ended = {}     -- outcomes to write: id, outcome, id, outcome
local counted = {}   -- queue and class -> how many came or went

-- What a control record is made of where it does not say otherwise: absent instants are false, absent texts and the
-- owner of an unowned one '' and 0. What a record ends with as in here is left out when it is stored.
local FRESH = {
  false, false, false, false, false, false, false, 0, 0, 0, false, false, 0, 0,
  '', 0, false, false, 0, 0, false, false, false, 0, false, '',
}

function engine.due_of(r)
  local state, due = r[C_STATE], false
  if state == BLOCKED and r[C_NEED_LEFT] == 0 then due = r[C_NOT_BEFORE] end
  local expires = r[C_EXPIRES_AT]
  if expires and (state == BLOCKED or (state == READY and r[C_OWNER] == 0)) and (not due or expires < due) then
    due = expires
  end
  local wait_until = r[C_WAIT_UNTIL]
  if state == SUSPENDED and wait_until and (not due or wait_until < due) then due = wait_until end
  return due
end

-- Under what `queue_stats` counts a record: blocked, owned, suspended (or resumable), or nothing.
function engine.class_of(state, owner)
  if state == BLOCKED then return 'b' end
  if state == OWNED then return 'o' end
  return (state == SUSPENDED or owner ~= 0) and 's' or ''
end

function engine.count_class(queue, class, number)
  if class == '' then return end
  local name = class .. queue
  counted[name] = (counted[name] or 0) + number
end

-- Whether a resumable record waits before a gate.
function engine.is_parked(r)
  return r[C_GATED] and r[C_GATED][G_PARKED]
end

-- What an invocation without an owner does that became READY: gated ones are queued in their lane at once.
function engine.ready(r)
  if r[C_GATED] then engine.enter_lane(r) end
end

-- Remember which indexes hold the record.
function engine.note_indexes(r)
  local owner, ready = r[C_OWNER], r[C_STATE] == READY
  r.owner = owner
  r.ready = ready and owner == 0
  r.resumable = ready and owner ~= 0 and not engine.is_parked(r)
  r.due = engine.due_of(r)
  r.class = engine.class_of(r[C_STATE], owner)
end

function engine.adopt(id, blob)
  if not blob then
    records[id] = false
    return false
  end
  local skipped, first = engine.array_in(blob)
  local r = engine.decode(id, first and string.sub(blob, skipped + 1) or blob, C_REQUIRED)
  local gated = r and first and engine.decode_gating(id, string.sub(blob, first, skipped))
  if first and not gated then r = false end
  records[id] = r
  if r then
    for place = #r + 1, C_SIZE do r[place] = FRESH[place] end
    r[C_GATED] = gated or false
    r.id = id
    engine.note_indexes(r)
  end
  return r
end

-- The control record of an invocation that is not final, else false.
function engine.record(id)
  local r = records[id]
  if r == nil then r = engine.adopt(id, call('GET', P .. 'i' .. id)) end
  return r
end

local function forget_records()
  records, outcomes = {}, {}
end

-- Load many at once.
function engine.fetch(ids)
  local missing, keys = {}, {}
  for place = 1, #ids do
    local id = ids[place]
    if records[id] == nil then
      missing[#missing + 1] = id
      keys[#keys + 1] = P .. 'i' .. id
    end
  end
  local blobs = engine.get_many(keys)
  for place = 1, #missing do engine.adopt(missing[place], blobs[place]) end
end

function engine.outcome(id)
  local known = outcomes[id]
  if known == nil then
    local blob = call('GET', P .. 'o' .. id)
    known = blob and engine.decode(id, blob, O_SIZE) or false
    outcomes[id] = known
  end
  return known
end

function engine.is_known(id)
  return (engine.record(id) or engine.outcome(id)) and true or false
end

function engine.touch(r)
  if not r.touched then
    r.touched, r.blob = true, nil
    touched[#touched + 1] = r
  end
end

-- A new record from the fields that have no fresh value.
function engine.create(id, r)
  for place = #r + 1, C_SIZE do r[place] = FRESH[place] end
  r[C_GATED] = r[C_GATED] or false
  r.id, r.owner, r.ready, r.resumable, r.due, r.class = id, 0, false, false, false, ''
  records[id] = r
  engine.touch(r)
  return r
end

-- An outcome that is to be written.
function engine.keep_outcome(id, o)
  outcomes[id] = o
  local size = #ended
  ended[size + 1], ended[size + 2] = id, o
end

-- --- writing ---

function engine.write_indexes(added, taken)
  for _, r in ipairs(touched) do
    local id, gone = r.id, r.gone
    local owner, ready, resumable, due, class = 0, false, false, false, ''
    if not gone then
      owner = r[C_OWNER]
      local state = r[C_STATE]
      ready, resumable = state == READY and owner == 0, state == READY and owner ~= 0 and not engine.is_parked(r)
      due = engine.due_of(r)
      class = engine.class_of(state, owner)
    end
    if class ~= r.class then
      engine.count_class(r[C_QUEUE], r.class, -1)
      engine.count_class(r[C_QUEUE], class, 1)
    end
    if ready ~= r.ready then
      local index = (r[C_GATED] and 'A' or 'q') .. r[C_QUEUE]
      if ready then
        engine.add(added, index, r[C_RANK], id)
        -- A lane says itself what it has to claim.
        if not r[C_GATED] then engine.woken[r[C_QUEUE]] = (engine.woken[r[C_QUEUE]] or 0) + 1 end
      else
        engine.add(taken, index, id)
      end
    end
    if resumable ~= r.resumable or (resumable and owner ~= r.owner) then
      if r.resumable then engine.add(taken, 'r' .. r.owner, id) end
      if resumable then
        engine.add(added, 'r' .. owner, r[C_RANK], id)
        engine.ring(owner)
      end
    end
    if due ~= r.due then
      if due then
        engine.add(added, 't', due, id)
        if not engine.earliest or due < engine.earliest then engine.earliest = due end
      else
        engine.add(taken, 't', id)
      end
    end
    if owner ~= r.owner then
      if r.owner ~= 0 then engine.add(taken, 'w' .. r.owner, id) end
      if owner ~= 0 then engine.add(added, 'w' .. owner, id) end
    end
    r.owner, r.ready, r.resumable, r.due, r.class = owner, ready, resumable, due, class
  end
end

-- The bytes of a record: its array without what `note_indexes` keeps beside it, and without what ends it as `FRESH`.
function engine.packed(r)
  local size = C_SIZE
  while size > C_REQUIRED and r[size] == FRESH[size] do size = size - 1 end
  local array = pack({ unpack(r, 1, size) })
  if not r[C_GATED] then return array end
  local text = pack(unpack(r[C_GATED]))
  return engine.gated_head(#text) .. text .. array
end

function engine.write_records()
  local kept, gone = {}, {}
  for _, r in ipairs(touched) do
    r.touched = false
    if r.gone then
      gone[#gone + 1] = P .. 'i' .. r.id
      if records[r.id] == r then records[r.id] = false end
    else
      r.blob = engine.packed(r)
      kept[#kept + 1] = P .. 'i' .. r.id
      kept[#kept + 1] = r.blob
    end
  end
  engine.call_many('MSET', nil, kept, 2)
  engine.call_many('DEL', nil, gone)
end

-- The entry of an outcome in the index of the dead, whose order is that of bytes; nothing if it is not among them.
function engine.dead_entry(id, o)
  local status = o[O_STATUS]
  if status == STATUS_FAILED or status == STATUS_EXPIRED or status == STATUS_DROPPED then
    return string.format('%020.0f', o[O_ENDED_AT]) .. id
  end
end

-- Take an outcome out of its indexes.
function engine.drop_outcome(id, o)
  call('ZREM', P .. 'e', id)
  local entry = engine.dead_entry(id, o)
  if entry then
    call('ZREM', P .. 'z', entry)
    call('ZREM', P .. 'z' .. o[O_QUEUE], entry)
  end
  outcomes[id] = false
end

function engine.write_outcomes()
  local written, expiring = {}, {}
  for place = 1, #ended, 2 do
    local id, o = ended[place], ended[place + 1]
    written[#written + 1] = P .. 'o' .. id
    written[#written + 1] = pack(o)
    if o[O_EXPIRES_AT] then
      expiring[#expiring + 1] = o[O_EXPIRES_AT]
      expiring[#expiring + 1] = id
    end
    local entry = engine.dead_entry(id, o)
    if entry then
      call('ZADD', P .. 'z', 0, entry)
      call('ZADD', P .. 'z' .. o[O_QUEUE], 0, entry)
    end
  end
  engine.call_many('MSET', nil, written, 2)
  engine.call_many('ZADD', P .. 'e', expiring, 2)
  ended = {}
end

-- Write everything that was changed. Reads of indexes come after it.
function engine.flush()
  if engine.write_gating then engine.write_gating() end
  if #touched == 0 and #ended == 0 and next(counted) == nil then return end
  local added, taken = {}, {}
  engine.write_indexes(added, taken)
  if engine.earliest then
    local first = call('ZRANGE', P .. 't', 0, 0, 'WITHSCORES')[2]
    if first and tonumber(first) <= engine.earliest then engine.earliest = false end
  end
  for name, list in pairs(taken) do
    engine.call_many(string.sub(name, 1, 1) == 'w' and 'SREM' or 'ZREM', P .. name, list)
  end
  for name, list in pairs(added) do
    if string.sub(name, 1, 1) == 'w' then
      engine.call_many('SADD', P .. name, list)
    else
      engine.call_many('ZADD', P .. name, list, 2)
    end
  end
  for name, number in pairs(counted) do
    if number ~= 0 then call('HINCRBY', P .. 'n', name, number) end
  end
  engine.write_records()
  engine.write_outcomes()
  touched, counted = {}, {}
end
