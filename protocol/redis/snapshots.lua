-- snapshots: all that is known of each id.
--
-- ARGV[2]  ids
-- Reply    {stored call or '', control or false, outcome or false, attempts, progress} each, all of them packed
-- One consistent read; O(n).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/reading.lua

return pack(engine.snapshots_of(unpack_record(ARGV[2])))
