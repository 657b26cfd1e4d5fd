-- watch: return outcomes of final invocations and have those of the others sent to the session's inbox.
--
-- ARGV[2]  {session, ids}
-- Reply    {outcomes, unknown ids}
-- Refuses  SESSION_GONE
-- Atomic: no end is missed; O(n).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/ending.lua
--- include shared/sessions.lua

local request = unpack_record(ARGV[2])
local session, ids = request[1], engine.distinct(request[2])
engine.renew(session)
engine.fetch(ids)
local final, unknown = {}, {}
for _, id in ipairs(ids) do
  local r = engine.record(id)
  if r then
    call('SADD', P .. 'y' .. session, id)
    call('SADD', P .. 'v' .. id, session)
    engine.flag(r, HAS_WATCHERS)
  else
    local o = engine.outcome(id)
    if o then final[#final + 1] = { id, o } else unknown[#unknown + 1] = id end
  end
end
engine.finish()
return pack({ final, unknown })
