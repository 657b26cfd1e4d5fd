-- close_session: end a session in good order: what it still owns is READY again at once, uncounted.
--
-- ARGV[2]  the number; one that has ended or never was changes nothing
-- Reply    1
-- Atomic; O(n log N) for n invocations that it owns.

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua
--- include shared/ending.lua
--- include shared/sessions.lua

local session = tonumber(ARGV[2])
if call('ZSCORE', P .. 'l', session) then
  engine.end_session(session, false)
  engine.finish()
end
return 1
