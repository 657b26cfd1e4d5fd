-- queue_stats: one row per queue that was ever used or is paused.
--
-- Reply    {queue, ready, blocked, owned, suspended, oldest or false, pause or false, listeners, parked before gates} each. `oldest` is
--          exact for up to 1,000 ready invocations, and the oldest of the first 1,000 beyond.
-- One consistent read; O(queues x (sessions + 1,000)).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua
--- include shared/listing.lua

local function oldest_in(index, oldest)
  local ids = call('ZRANGE', index, 0, 999)
  engine.fetch(ids)
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if r and (not oldest or r[C_REGISTERED_AT] < oldest) and not (r[C_GATED] and engine.parked_before(id)) then
      oldest = r[C_REGISTERED_AT]
    end
  end
  return oldest
end

local function oldest_of(queue)
  local oldest = oldest_in(P .. 'q' .. queue, false)
  return engine.gate and oldest_in(P .. 'A' .. queue, oldest) or oldest
end

-- READY ones that are not parked, and those that are.
local function ready_in(queue)
  local parked = engine.gate and tonumber(call('HGET', P .. 'n', 'p' .. queue) or 0) or 0
  local gated = engine.gate and call('ZCARD', P .. 'A' .. queue) or 0
  return call('ZCARD', P .. 'q' .. queue) + gated - parked, parked
end

local function number_of(class, queue)
  return tonumber(call('HGET', P .. 'n', class .. queue) or 0)
end

local names = call('SMEMBERS', P .. 'queues')
for _, queue in ipairs(call('HKEYS', P .. 'paused')) do
  if call('SISMEMBER', P .. 'queues', queue) == 0 then names[#names + 1] = queue end
end
local rows = {}
for _, queue in ipairs(names) do
  local ready, parked = ready_in(queue)
  rows[#rows + 1] = {
    queue, ready, number_of('b', queue), number_of('o', queue), number_of('s', queue),
    oldest_of(queue), call('HGET', P .. 'paused', queue), #engine.listeners(queue), parked,
  }
end
return pack(rows)
