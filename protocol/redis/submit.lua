-- submit: create invocations; one reply each, in order. Idempotent by id.
--
-- ARGV[2]  items, each {id, queue, band, key (or -1) or false, delay (or minus an instant), expires or false, retention or false, max_crashes,
--          after (ids end to end), after_policy, dedupe key or '', its phase, parent or '', fence session or 0,
--          fence epoch, call, after_need}. `call` is opaque here but for its first field, the task.
-- Reply    one value per item: 0 (created), else {verdict, id}
-- Atomic; O(n log N) for n items.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/ending.lua
--- include shared/forgetting.lua

local items = unpack_record(ARGV[2])
local calls, stored, listed, queues = {}, {}, {}, {}
local created = 0
local sequence = tonumber(call('HGET', P .. 'meta', 'sequence') or FIRST_SEQUENCE)
local first_sequence = sequence

local function any_known()
  local keys = {}
  for place, item in ipairs(items) do keys[place] = P .. 'c' .. item[1] end
  for first = 1, #keys, 4000 do
    if call('EXISTS', unpack(keys, first, math.min(first + 3999, #keys))) > 0 then return true end
  end
  return false
end

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
  local holder = item[11] ~= '' and call('GET', P .. 'k' .. item[11])
  if holder then return { SUBMIT_DEDUPED, holder } end
end

-- A call as it is kept: a byte that tells whether parent and root follow, then what the client sent.
local function store_call(item)
  local id, parent = item[1], item[13]
  local text = '\0' .. item[16]
  if parent ~= '' then
    local above = calls[parent] or call('GET', P .. 'c' .. parent)
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
  if delay < 0 then delay = math.max(0, -delay - now) end
  local r = engine.create(item[1], { READY, REASON_NEW, item[2], item[3] * BAND_UNIT + key, now, item[7], item[8] })
  r[C_KEY], r[C_KEY_PHASE], r[C_AFTER_POLICY] = item[11], item[12], item[10]
  r[C_NOT_BEFORE], r[C_EXPIRES_AT] = delay > 0 and now + delay, expires and now + expires
  queues[item[2]] = true
  created = created + 1
  if item[11] ~= '' then call('SET', P .. 'k' .. item[11], item[1]) end
  if item[9] ~= '' then place_record(r, item) elseif delay > 0 then
    r[C_STATE], r[C_REASON] = BLOCKED, REASON_DELAYED
  end
end

local look = any_known()
local replies = {}
for place, item in ipairs(items) do
  local refused = refusal(item, look)
  if not refused then create_one(item) end
  replies[place] = refused or SUBMIT_CREATED
end

if created > 0 then
  engine.claim_schema()
  engine.call_many('MSET', nil, stored, 2)
  engine.call_many('ZADD', P .. 'all', listed, 2)
  for queue in pairs(queues) do call('SADD', P .. 'queues', queue) end
  engine.count_call(now, created)
  if sequence ~= first_sequence then call('HSET', P .. 'meta', 'sequence', sequence) end
end
engine.finish()
return pack(replies)
