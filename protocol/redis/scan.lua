-- scan: a part of all invocations, newest id first, with what filters ask for.
--
-- ARGV[2]  {before or '', parent or '', budget}
-- Reply    {id, task, queue, standing} each (see shared/reading.lua); fewer than `budget`: nothing is left
-- One consistent read per call; O(log N + budget), with a parent O(its children).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/reading.lua

local request = unpack_record(ARGV[2])
local start, parent, budget = request[1], request[2], request[3]
local ids
if parent == '' then
  ids = call('ZREVRANGEBYLEX', P .. 'all', start == '' and '+' or '(' .. start, '-', 'LIMIT', 0, budget)
else
  local children = engine.sorted_ids(call('SMEMBERS', P .. 'h' .. parent))
  ids = {}
  for place = #children, 1, -1 do
    if #ids < budget and (start == '' or engine.before(children[place], start)) then ids[#ids + 1] = children[place] end
  end
end

engine.fetch(ids)
local keys, rows = {}, {}
for place, id in ipairs(ids) do keys[place] = P .. 'c' .. id end
for place, stored in ipairs(engine.get_many(keys)) do
  local id = ids[place]
  local live = engine.record(id)
  local final = not live and engine.outcome(id)
  local task = ''
  if stored then
    local ok, known = pcall(unpack_record, string.sub(stored, string.byte(stored, 1) == 1 and 34 or 2))
    task = ok and known[1] or ''
  end
  local queue = live and live[C_QUEUE] or final and final[O_QUEUE] or ''
  rows[#rows + 1] = { id, task, queue, engine.standing_of(id) }
end
return pack(rows)
