-- list_owned: what a session owns, by id.
--
-- ARGV[2]  the number
-- Reply    {id, epoch, state, cancel_requested} each
-- O(n) for n invocations that it owns.

--- include shared/store.lua
--- include shared/unit.lua

local ids = engine.sorted_ids(call('SMEMBERS', P .. 'w' .. ARGV[2]))
engine.fetch(ids)
local rows = {}
for _, id in ipairs(ids) do
  local r = engine.record(id)
  if r then rows[#rows + 1] = { id, r[C_EPOCH], r[C_STATE], r[C_CANCEL_REQUESTED] } end
end
return pack(rows)
