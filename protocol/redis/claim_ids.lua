-- claim_ids: claim these invocations if they are READY without an owner; same effects as a claim by queue.
--
-- ARGV[2]  {session, ids, queues, most}: only of these queues, {} for all of Python's; most false for no limit
-- Reply    {verdicts, claims}: a verdict per id that was looked at (0 claimed, 1 busy, 2 not ready, 3 final, 4 unknown),
--          claims as of `exchange`, in order; once `most` are claimed it looks no further
-- Refuses  SESSION_GONE
-- Atomic; O(n log N).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua
--- include shared/ending.lua
--- include shared/renewing.lua
--- include shared/waiting.lua
--- include shared/claiming.lua
--- gated shared/gated_claiming.lua

local request = unpack_record(ARGV[2])
local session, queues, most = request[1], request[3], request[4] or math.huge
engine.renew(session)
engine.fetch(request[2])
local verdicts, taken = {}, {}
for place, id in ipairs(request[2]) do
  if #taken >= most then break end
  local verdict, r = engine.claim_one(session, id, queues)
  verdicts[place] = verdict
  if r then taken[#taken + 1] = r end
end
engine.finish()
return pack({ verdicts, engine.claims_of(taken) })
