-- statuses: where each id stands.
--
-- ARGV[2]  ids
-- Reply    the status of a final one, {state, reason, started, parked} of a live one, false for an unknown one
-- One consistent read; O(n).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/reading.lua

local ids, found = unpack_record(ARGV[2]), {}
engine.fetch(ids)
for place, id in ipairs(ids) do found[place] = engine.standing_of(id) end
return pack(found)
