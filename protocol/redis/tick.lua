-- tick: do what is due: promote, expire, end waits, recover expired sessions, drop retained outcomes.
--
-- ARGV[2]  budget: most timers, sessions and outcomes to handle, each
-- Reply    {handled, next_due or false, more}
-- Atomic; O(budget log N), plus what an expired session owns.

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua
--- include shared/ending.lua
--- include shared/sessions.lua
--- include shared/forgetting.lua
--- include shared/ticking.lua

local handled, more = engine.tick(tonumber(ARGV[2]))
engine.finish()
return pack({ handled, engine.next_due(), more })
