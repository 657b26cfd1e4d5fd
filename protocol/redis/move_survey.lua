-- move_survey: what there is, before and during a move.
--
-- Reply    {seal or '', number of invocations, rows of the live sessions (see shared/listing.lua)}
-- One consistent read; O(live sessions and what they own).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/listing.lua

local rows = {}
for _, number in ipairs(engine.live_sessions()) do rows[#rows + 1] = engine.session_row(number) end
return pack({ identity[2] or '', call('ZCARD', P .. 'all'), rows })
