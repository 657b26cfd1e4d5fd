-- resume: undo `pause` and wake whoever sleeps and serves the queue.
--
-- ARGV[2]  the queue
-- Reply    1
-- Atomic; O(n) for n sleeping sessions.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua

if call('HDEL', P .. 'paused', ARGV[2]) == 1 then
  for _, sleeper in ipairs(engine.sleepers()) do
    if engine.serves(sleeper[2], ARGV[2]) then engine.rouse(sleeper[1]) end
  end
  engine.ring_bells()
end
return 1
