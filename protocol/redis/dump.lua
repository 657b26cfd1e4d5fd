-- dump: a part of the whole state, for tests and repair.
--
-- ARGV[2]  {after this id or '', budget}
-- Reply    {id, snapshot, edges, holds its key} each, by id; fewer than `budget`: nothing is left
-- One consistent read per call.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/reading.lua

local request = unpack_record(ARGV[2])
local ids = call('ZRANGEBYLEX', P .. 'all', request[1] == '' and '-' or '(' .. request[1], '+', 'LIMIT', 0, request[2])
local known, rows = engine.snapshots_of(ids), {}
for place, id in ipairs(ids) do
  local r = engine.record(id)
  local o = not r and engine.outcome(id)
  local key = r and r[C_KEY] or o and o[O_KEY] or ''
  rows[place] = {
    id, known[place], engine.sorted_ids(call('SMEMBERS', P .. 'p' .. id)),
    key ~= '' and call('GET', P .. 'k' .. key) == id,
  }
end
return pack(rows)
