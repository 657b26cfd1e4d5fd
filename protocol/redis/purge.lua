-- purge: forget these final invocations.
--
-- ARGV[2]  ids
-- Reply    how many went
-- Atomic; O(n log N).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/ending.lua
--- include shared/forgetting.lua

local went = 0
for _, id in ipairs(engine.distinct(unpack_record(ARGV[2]))) do
  local o = engine.outcome(id)
  if o then
    engine.forget(id, o)
    went = went + 1
  end
end
return went
