-- move_in: keep invocations of another store as they are; those that are known are passed over.
--
-- ARGV[2]  items, each {id, stored call, parent or '', control record or false, outcome or false, attempts (packed),
--          progress, ids of those it comes after, terms of its key if it holds it or false, units {gate, packed}};
--          records as in `constants.json`, terms as in shared/ending.lua
-- Reply    how many were new
-- Atomic; O(n log N) for n items.

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/forgetting.lua

local taken = 0

local function take_live(id, fields, edges, units)
  -- That nobody waits for it is not known before everything is here.
  fields[C_FLAGS] = HAS_WAITERS + (#edges > 0 and HAS_EDGES or 0)
  local r = engine.create(id, fields)
  for _, waited in ipairs(edges) do
    call('SADD', P .. 'p' .. id, waited)
    call('SADD', P .. 'd' .. waited, id)
  end
  for _, unit in ipairs(units) do
    call('HSET', P .. 'H' .. unit[1], id, unit[2])
    engine.count_inside(unit[1])
  end
  if r[C_GATED] then engine.claim_gates() end
  if r[C_STATE] == READY then engine.ready(r) end
end

local function take(item)
  local id, live, final = item[1], item[4], item[5]
  local key = live and live[C_KEY] or final and final[O_KEY]
  call('SET', P .. 'c' .. id, item[2])
  call('ZADD', P .. 'all', 0, id)
  call('SADD', P .. 'queues', live and live[C_QUEUE] or final[O_QUEUE])
  if item[3] ~= '' then call('SADD', P .. 'h' .. item[3], id) end
  for _, attempt in ipairs(item[6]) do call('RPUSH', P .. 'a' .. id, attempt) end
  if item[7] ~= '' then call('SET', P .. 'g' .. id, item[7]) end
  if item[9] then call('SET', P .. 'k' .. key, id .. item[9]) end
  engine.count_call(live and live[C_REGISTERED_AT] or final[O_REGISTERED_AT], 1)
  if live then take_live(id, live, item[8], item[10]) else engine.keep_outcome(id, final) end
end

for _, item in ipairs(unpack_record(ARGV[2])) do
  if call('EXISTS', P .. 'c' .. item[1]) == 0 then
    take(item)
    taken = taken + 1
  end
end
engine.flush()
return taken
