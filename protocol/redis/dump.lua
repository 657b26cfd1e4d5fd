-- dump: a part of the whole state, for tests and repair.
--
-- ARGV[2]  {after this id or '', budget}
-- Reply    {id, snapshot, edges, terms of its key if it holds it or false, units {gate, packed} that it holds} each, by id;
--          fewer than `budget`: nothing is left
-- One consistent read per call.

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/reading.lua

local request = unpack_record(ARGV[2])
local ids = call('ZRANGEBYLEX', P .. 'all', request[1] == '' and '-' or '(' .. request[1], '+', 'LIMIT', 0, request[2])
local known, rows = engine.snapshots_of(ids), {}
for place, id in ipairs(ids) do
  local r = engine.record(id)
  local o = not r and engine.outcome(id)
  local key = r and r[C_KEY] or o and o[O_KEY] or ''
  local kept = key ~= '' and call('GET', P .. 'k' .. key) or ''
  local units = {}
  for _, gate in ipairs(r and r[C_GATED] and r[C_GATED][G_GATES] or {}) do
    local unit = call('HGET', P .. 'H' .. gate[GATE_NAME], id)
    if unit then units[#units + 1] = { gate[GATE_NAME], unit } end
  end
  rows[place] = {
    id, known[place], engine.sorted_ids(call('SMEMBERS', P .. 'p' .. id)),
    string.sub(kept, 1, 16) == id and string.sub(kept, 17), units,
  }
end
return pack(rows)
