-- dead: a part of what ended dead, newest ending first.
--
-- ARGV[2]  {queue or '', what entries are below, what they are not before, budget}; an entry is the instant in twenty
--          digits and an id
-- Reply    {entry, task, status} each; fewer than `budget`: nothing is left
-- One consistent read per call; O(log N + budget).

--- include shared/store.lua
--- include shared/unit.lua

local request = unpack_record(ARGV[2])
local entries = call('ZREVRANGEBYLEX', P .. 'z' .. request[1], '(' .. request[2], '[' .. request[3], 'LIMIT', 0, request[4])
local keys, rows = {}, {}
for place, entry in ipairs(entries) do keys[place] = P .. 'c' .. string.sub(entry, 21) end
for place, stored in ipairs(engine.get_many(keys)) do
  local o = engine.outcome(string.sub(entries[place], 21))
  local task = ''
  if stored then
    local ok, known = pcall(unpack_record, string.sub(stored, string.byte(stored, 1) == 1 and 34 or 2))
    task = ok and known[1] or ''
  end
  rows[place] = { entries[place], task, o and o[O_STATUS] or '' }
end
return pack(rows)
