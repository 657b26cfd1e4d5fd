-- cancel: end what has not begun, tell the owners of what has.
--
-- ARGV[2]  {ids, tree, detail}
-- Reply    {id, verdict} per id given, then per descendant by id: 0 cancelled, 1 requested, 2 final, 3 unknown
-- Atomic; O(n log N) for n invocations, descendants included.

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua
--- include shared/ending.lua

local request = unpack_record(ARGV[2])
local given, detail = engine.distinct(request[1]), request[3]

local function descendants(roots)
  local seen, found, frontier, place = {}, {}, {}, 1
  for _, id in ipairs(roots) do
    seen[id] = true
    frontier[#frontier + 1] = id
  end
  while frontier[place] do
    for _, id in ipairs(call('SMEMBERS', P .. 'h' .. frontier[place])) do
      if not seen[id] then
        seen[id] = true
        found[#found + 1] = id
        frontier[#frontier + 1] = id
      end
    end
    place = place + 1
  end
  return engine.sorted_ids(found)
end

local function cancel_one(id)
  local r = engine.record(id)
  if not r then return engine.outcome(id) and CANCEL_FINAL or CANCEL_UNKNOWN end
  if r[C_STATE] == OWNED then
    if not r[C_CANCEL_REQUESTED] then
      r[C_CANCEL_REQUESTED] = true
      engine.touch(r)
      engine.notify_cancel(r, detail)
    end
    return CANCEL_REQUESTED
  end
  engine.notify_cancel(r, detail)
  engine.finish_record(r, STATUS_CANCELLED, '', detail, 0)
  return CANCEL_CANCELLED
end

local replies = {}
for _, id in ipairs(given) do replies[#replies + 1] = { id, cancel_one(id) } end
if request[2] then
  for _, id in ipairs(descendants(given)) do replies[#replies + 1] = { id, cancel_one(id) } end
end
engine.finish()
return pack(replies)
