-- move_header: what a move carries beside invocations and client data.
--
-- Reply    {next number of the order of submission, number of the last session, paused queues and their pauses, used queues,
--          rows of the ended sessions (see shared/listing.lua), settings, rates and breakers as their keys have them}
-- One consistent read; O(sessions that ever were).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/listing.lua

local kept = call('HMGET', P .. 'meta', 'sequence', 'sessions')
local last, rows = tonumber(kept[2] or 0), {}
for number = 1, last do
  local row = engine.session_row(number)
  if row and row[5] then rows[#rows + 1] = row end
end
return pack({
  tonumber(kept[1] or FIRST_SEQUENCE), last, call('HGETALL', P .. 'paused'), call('SMEMBERS', P .. 'queues'), rows,
  call('HGETALL', P .. 'gates:settings'), call('ZRANGE', P .. 'gates:rates', 0, -1, 'WITHSCORES'),
  call('HGETALL', P .. 'gates:breakers'),
})
