-- watch: return outcomes of final invocations and have those of the others sent to the session's inbox.
--
-- ARGV[2]  {session, ids}
-- Reply    {id, outcome or false} of each that is not live, end to end; false: it is unknown
-- Refuses  SESSION_GONE
-- Atomic: no end is missed; O(n).

--- include shared/store.lua
--- include shared/renewing.lua
--- include shared/plain.lua
--- include shared/telling.lua

local is_made = false

local function make_unit()
  if is_made then return end
  is_made = true
  --- include shared/unit.lua
end

local request = unpack_record(ARGV[2])
local session, ids, keys, seen = request[1], {}, {}, {}
for _, id in ipairs(request[2]) do
  if not seen[id] then
    seen[id] = true
    ids[#ids + 1] = id
    keys[#keys + 1] = P .. 'i' .. id
  end
end
engine.renew(session)

local blobs, live, others, wanted = engine.get_many(keys), {}, {}, {}
for place, id in ipairs(ids) do
  local is_live = engine.shape_of(blobs[place], 0)
  if not is_live and blobs[place] then
    make_unit()
    is_live = engine.record(id)
  end
  if is_live then
    live[#live + 1] = id
  else
    others[#others + 1] = id
    wanted[#wanted + 1] = P .. 'o' .. id
  end
end
local final = {}
for place, outcome in ipairs(engine.get_many(wanted)) do
  final[2 * place - 1], final[2 * place] = others[place], outcome
end
engine.watch(session, live)
return pack(final)
