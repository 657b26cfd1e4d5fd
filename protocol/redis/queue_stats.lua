-- queue_stats: one row per queue that was ever used or is paused.
--
-- Reply    {queue, ready, blocked, owned, suspended, oldest or false, paused, listeners} each. `oldest` is exact for up to
--          1,000 ready invocations, and the oldest of the first 1,000 beyond.
-- One consistent read; O(queues x (sessions + 1,000)).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/listing.lua

local function oldest_of(queue)
  local ids, oldest = call('ZRANGE', P .. 'q' .. queue, 0, 999), false
  engine.fetch(ids)
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if r and (not oldest or r[C_REGISTERED_AT] < oldest) then oldest = r[C_REGISTERED_AT] end
  end
  return oldest
end

local function number_of(class, queue)
  return tonumber(call('HGET', P .. 'n', class .. queue) or 0)
end

local rows = {}
for _, queue in ipairs(call('SUNION', P .. 'queues', P .. 'paused')) do
  rows[#rows + 1] = {
    queue, call('ZCARD', P .. 'q' .. queue), number_of('b', queue), number_of('o', queue), number_of('s', queue),
    oldest_of(queue), call('SISMEMBER', P .. 'paused', queue) == 1, #engine.listeners(queue),
  }
end
return pack(rows)
