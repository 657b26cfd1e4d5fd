-- dump_sessions: what waits for sessions, and which queues are paused.
--
-- Reply    {{number, inbox, watched ids} of each live session, paused queues}
-- One consistent read; O(what waits).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/listing.lua

local rows = {}
for _, number in ipairs(engine.live_sessions()) do
  rows[#rows + 1] = {
    number, call('LRANGE', P .. 'x' .. number, 0, -1), engine.sorted_ids(call('SMEMBERS', P .. 'y' .. number)),
  }
end
return pack({ rows, call('SMEMBERS', P .. 'paused') })
