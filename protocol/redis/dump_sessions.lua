-- dump_sessions: what waits for sessions, and which queues are paused.
--
-- Reply    {{number, inbox, watched ids} of each live session, paused queues and their pauses by turns}
-- One consistent read; O(what waits).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/listing.lua

local watched, watches = {}, call('HGETALL', P .. 'v')
for place = 1, #watches, 2 do
  for session in string.gmatch(watches[place + 1], '%d+') do
    watched[session] = watched[session] or {}
    table.insert(watched[session], watches[place])
  end
end
local rows = {}
for _, number in ipairs(engine.live_sessions()) do
  local ids = watched[string.format('%.0f', number)] or {}
  rows[#rows + 1] = { number, call('LRANGE', P .. 'x' .. number, 0, -1), engine.sorted_ids(ids) }
end
return pack({ rows, call('HGETALL', P .. 'paused') })
