-- submit: create invocations; one reply each, in order. Idempotent by id.
--
-- ARGV[2]  items, each {id, queue, band, key (or -1) or false, delay (or minus an instant), expires or false,
--          retention or false, max_crashes, after (ids end to end), after_policy, dedupe key or '', its phase,
--          parent or '', fence session or 0, fence epoch, call, after_need}, in the gated build then {gates or false,
--          flow or false, key or false}: see shared/gates.lua, shared/lanes.lua, shared/reserving.lua. `call` is opaque
--          here but for its first field, the task.
--          Or, where items differ in id and call only and have nothing but these: {queue, band, retention or false,
--          max_crashes}, and
-- ARGV[3]  {id, a byte of 0 and the call} of each, end to end; no id is there twice. In the gated build they may differ in
--          gates and flow too: then this is '', and
-- ARGV[4]  {id, a byte of 0 and the call, gates and flow (packed)} of each, end to end.
-- Reply    one value per item: 0 (created), else {verdict, id}; 0 alone if all were created
-- Atomic; O(n log N) for n items.

--- include shared/store.lua
--- gated shared/gated.lua
--- include shared/waking.lua
--- include shared/counting.lua
--- include shared/plain.lua
--- gated shared/limited.lua

local given = unpack_record(ARGV[2])

local function any_known(ids, first, step)
  local keys = {}
  for place = first, #ids, step do keys[#keys + 1] = P .. 'c' .. ids[place] end
  for at = 1, #keys, 4000 do
    if call('EXISTS', unpack(keys, at, math.min(at + 3999, #keys))) > 0 then return true end
  end
  return false
end

-- What every submission leaves in the app's own keys.
local function note_submission(number, queues, sequence, used)
  engine.claim_schema()
  for queue in pairs(queues) do call('SADD', P .. 'queues', queue) end
  engine.count_call(now, number)
  if used > 0 then call('HSET', P .. 'meta', 'sequence', sequence + used) end
end

local function next_sequence()
  return tonumber(call('HGET', P .. 'meta', 'sequence') or FIRST_SEQUENCE)
end

-- Create invocations that are alike; nothing is known of their ids.
local function submit_plain(flat)
  local queue, sequence = given[1], next_sequence()
  local before, behind = engine.fresh_record(queue, given[3], given[4])
  local rank, calls, control = given[2] * BAND_UNIT + sequence, P .. 'c', P .. 'i'
  local stored, listed, ready, size = {}, {}, {}, 0
  for at = 1, #flat, 2 do
    local id = flat[at]
    stored[2 * size + 1], stored[2 * size + 2] = calls .. id, flat[at + 1]
    stored[2 * size + 3], stored[2 * size + 4] = control .. id, before .. pack(rank) .. behind
    listed[size + 1], listed[size + 2] = '0', id
    ready[size + 1], ready[size + 2] = rank, id
    rank, size = rank + 1, size + 2
  end
  engine.call_many('MSET', nil, stored, 2)
  engine.call_many('ZADD', P .. 'all', listed, 2)
  engine.call_many('ZADD', P .. 'q' .. queue, ready, 2)
  note_submission(size / 2, { [queue] = true }, sequence, size / 2)
  engine.woken[queue] = size / 2
  engine.wake()
  engine.ring_bells()
  return pack(SUBMIT_CREATED)
end

local flat = ARGV[3] and not ARGV[4] and unpack_record(ARGV[3])
if flat and not any_known(flat, 1, 2) then return submit_plain(flat) end

local gated = ARGV[4] and unpack_record(ARGV[4])
local entering
if gated and not any_known(gated, 1, 3) then
  local sequence = next_sequence()
  entering = engine.create_gated(given, gated, sequence)
  engine.claim_gates()
  note_submission(#entering.ids, { [given[1]] = true }, sequence, #entering.ids)
  if engine.enter_limited(given[1], entering) then
    engine.wake()
    engine.ring_bells()
    return pack(SUBMIT_CREATED)
  end
end

--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/ending.lua
--- gated shared/reserving.lua
--- gated shared/submitting_gated.lua

if entering then
  engine.enter_lanes(given[1], entering)
  engine.finish()
  return pack(SUBMIT_CREATED)
end

local items = gated and engine.gated_items(given, gated) or given
if flat then
  items = {}
  for at = 1, #flat, 2 do
    items[#items + 1] = {
      flat[at], given[1], given[2], false, 0, false, given[3], given[4], '', 0, '', 0, '', 0, 0, string.sub(flat[at + 1], 2), 0,
    }
  end
end
local ids = {}
for place, item in ipairs(items) do
  ids[place] = item[1]
  if item[5] < 0 then item[5] = math.max(0, -item[5] - now) end
end
local calls, stored, listed, queues = {}, {}, {}, {}
local created, has_gates = 0, false
local sequence = next_sequence()
local first_sequence = sequence

-- What refuses an item: a reply, or nothing.
local function refusal(item, look)
  local id = item[1]
  if calls[id] or (look and engine.is_known(id)) then return { SUBMIT_EXISTING, id } end
  if item[14] ~= 0 then
    local parent = engine.record(item[13])
    if not parent or parent[C_OWNER] ~= item[14] or parent[C_EPOCH] ~= item[15] then return { SUBMIT_STALE_PARENT, id } end
  end
  for _, dependency in ipairs(engine.split_ids(item[9])) do
    if not engine.is_known(dependency) then return { SUBMIT_UNKNOWN_DEPENDENCY, dependency } end
  end
  if item[11] == '' then return end
  local holder, terms = engine.holder_of(item[11])
  if not holder or engine.is_over(terms) then return end
  return { engine.meet_holder and engine.meet_holder(holder, terms, item) or SUBMIT_DEDUPED, holder }
end

-- A call as it is kept: a byte that tells whether parent and root follow, then what the client sent.
local function store_call(item)
  local id, parent = item[1], item[13]
  local text = '\0' .. item[16]
  if parent ~= '' then
    local above = engine.stored_call(parent)
    local root = parent
    if above and string.byte(above, 1) == 1 then root = string.sub(above, 18, 33) end
    text = '\1' .. parent .. root .. item[16]
    call('SADD', P .. 'h' .. parent, id)
  end
  calls[id] = text
  stored[#stored + 1] = P .. 'c' .. id
  stored[#stored + 1] = text
  listed[#listed + 1] = 0
  listed[#listed + 1] = id
end

-- A call as it is kept, or will be.
function engine.stored_call(id)
  return calls[id] or call('GET', P .. 'c' .. id)
end

function engine.put_call(id, text)
  if not calls[id] then return call('SET', P .. 'c' .. id, text) end
  calls[id] = text
  for place = 1, #stored, 2 do
    if stored[place] == P .. 'c' .. id then stored[place + 1] = text end
  end
end

-- Decide whether it can run now, later, after others, or not at all.
local function place_record(r, item)
  local after, policy = engine.distinct(engine.split_ids(item[9])), item[10]
  local awaited, unwanted, how = {}, nil, nil
  local need = item[17] > 0 and math.min(item[17], #after) or #after
  for _, dependency in ipairs(after) do
    local waited = engine.record(dependency)
    if waited then
      awaited[#awaited + 1] = waited
    else
      local status = engine.outcome(dependency)[O_STATUS]
      if engine.counts(policy, status) then
        need = need - 1
      elseif not unwanted then
        unwanted, how = dependency, status
      end
    end
  end
  if need > #awaited then
    r[C_STATE] = BLOCKED
    engine.finish_record(r, engine.fallen_status(policy), '', engine.why_broken(unwanted, how), 0)
  elseif need > 0 then
    for _, waited in ipairs(awaited) do engine.add_edge(r, waited) end
    r[C_STATE], r[C_REASON], r[C_NEED_LEFT] = BLOCKED, REASON_DEPENDENCIES, need
  elseif r[C_NOT_BEFORE] then
    r[C_STATE], r[C_REASON] = BLOCKED, REASON_DELAYED
  end
end

-- The order within the band; without one of its own it follows from the sequence.
local function key_of(wanted)
  if wanted and wanted ~= NEWEST_FIRST then return wanted end
  sequence = sequence + 1
  return wanted and BAND_UNIT - sequence or sequence - 1
end

local function create_one(item)
  local key = key_of(item[4])
  store_call(item)
  local delay, expires = item[5], item[6]
  local r = engine.create(item[1], { READY, REASON_NEW, item[2], item[3] * BAND_UNIT + key, now, item[7], item[8] })
  r[C_KEY], r[C_KEY_PHASE], r[C_AFTER_POLICY] = item[11], item[12], item[10]
  r.parent = item[13]
  if item[18] or item[19] then
    r[C_GATED] = { item[18] or {}, item[19], item[13], false, false, false }
    has_gates = true
  end
  r[C_NOT_BEFORE], r[C_EXPIRES_AT] = delay > 0 and now + delay, expires and now + expires
  queues[item[2]] = true
  created = created + 1
  if item[11] ~= '' then engine.hold_key(item[11], item[1], item[20]) end
  if item[9] ~= '' then place_record(r, item) elseif delay > 0 then
    r[C_STATE], r[C_REASON] = BLOCKED, REASON_DELAYED
  end
  if r[C_STATE] == READY then engine.ready(r) end
end

local look = flat or gated or any_known(ids, 1, 1)
local replies = {}
for place, item in ipairs(items) do
  local refused = refusal(item, look)
  if not refused then create_one(item) end
  replies[place] = refused or SUBMIT_CREATED
end

if created > 0 then
  if has_gates then engine.claim_gates() end
  engine.call_many('MSET', nil, stored, 2)
  engine.call_many('ZADD', P .. 'all', listed, 2)
  note_submission(created, queues, first_sequence, sequence - first_sequence)
end
engine.finish()
return pack(replies)
