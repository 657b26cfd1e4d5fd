-- clear_gate: let submissions decide again about a gate or flow.
--
-- ARGV[2]  its name
-- Reply    whether something was set: 0 or 1
-- Atomic; O(log N) for each invocation or lane that may now pass.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/gating.lua
--- include shared/waking.lua

local known = call('HDEL', P .. 'gates:settings', ARGV[2])
if known == 1 then
  engine.activate(ARGV[2])
  engine.finish()
end
return known
