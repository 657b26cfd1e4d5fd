-- snapshots: all that is known of each id.
--
-- ARGV[2]  ids
-- Reply    {stored call or '', control or false, outcome or false, attempts, progress, gate or ''} each, all but the last
--          packed; see shared/reading.lua
-- One consistent read; O(n).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/reading.lua

return pack(engine.snapshots_of(unpack_record(ARGV[2])))
