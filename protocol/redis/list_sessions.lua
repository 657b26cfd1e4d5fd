-- list_sessions: the sessions by number.
--
-- ARGV[2]  1: only live ones, 0: all that ever were
-- Reply    rows, see shared/listing.lua
-- O(n) for n sessions and what they own.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/listing.lua

local numbers = engine.live_sessions()
if ARGV[2] == '0' then
  numbers = {}
  for number = 1, tonumber(call('HGET', P .. 'meta', 'sessions') or 0) do numbers[number] = number end
end
local rows = {}
for _, number in ipairs(numbers) do rows[#rows + 1] = engine.session_row(number) end
return pack(rows)
