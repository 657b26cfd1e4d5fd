-- purge_all: forget a part of everything; called until nothing is left. Sessions stay.
--
-- ARGV[2]  budget: most invocations and client data to forget in this call
-- Reply    {how many invocations went, whether there is more (0 or 1)}
-- Atomic per call, so that others get their turn in between; O(budget log N).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/ending.lua
--- include shared/forgetting.lua

-- Take a live invocation out of every index without an outcome.
local function erase(r)
  local parent = engine.parent_of(call('GET', P .. 'c' .. r.id))
  if parent then call('SREM', P .. 'h' .. parent, r.id) end
  engine.drop_edges(r)
  if r[C_GATED] then engine.withdraw(r) end
  if r[C_KEY] ~= '' then engine.free_key(r.id, r[C_KEY]) end
  call('HDEL', P .. 'v', r.id)
  engine.count_call(r[C_REGISTERED_AT], -1)
  r.gone = true
  records[r.id] = false
  engine.touch(r)
  if r[C_GATED] then engine.give_up(r, false) end
end

local budget = tonumber(ARGV[2])
local ids = call('ZRANGE', P .. 'all', 0, budget - 1)
engine.fetch(ids)
for _, id in ipairs(ids) do
  local r = engine.record(id)
  local o = not r and engine.outcome(id)
  if o then
    engine.forget(id, o)
  else
    if r then erase(r) end
    call('ZREM', P .. 'all', id)
  end
  call('UNLINK', P .. 'c' .. id, P .. 'o' .. id, P .. 'a' .. id, P .. 'g' .. id, P .. 'h' .. id, P .. 'd' .. id)
end
engine.flush()

local left = budget - #ids
local keys = left > 0 and call('ZRANGE', P .. 'data', 0, left - 1) or {}
for _, key in ipairs(keys) do
  call('UNLINK', P .. 'b' .. key)
  call('ZREM', P .. 'data', key)
end
if #keys == left then return { #ids, 1 } end

for _, session in ipairs(call('ZRANGE', P .. 'l', 0, -1)) do
  call('DEL', P .. 'x' .. session, P .. 'w' .. session, P .. 'r' .. session)
end
call('DEL', P .. 'data', P .. 'hours', P .. 'broken', P .. 'n', P .. 't', P .. 'e', P .. 'v',
  P .. 'gates:rates', P .. 'gates:breakers', P .. 'gates:timers', P .. 'gates:virtual')
return { #ids, 0 }
