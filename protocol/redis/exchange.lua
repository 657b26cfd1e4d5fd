-- exchange: the one round trip of a session: renew, settle, report, tick, claim, fetch messages, in this order.
--
-- ARGV[2]  {session, completions, started, progress, want, queues, claim_new, idle, tick_budget, before, awaited}
--          before: only new work of a lower rank, false for any; awaited: only what somebody waits for, and children
--          completion {kind, id, epoch, ran, worker, a, b, c}; see shared/settling.lua
--          started {id, epoch, worker, ago}; progress {id, epoch, body}
-- Reply    {verdicts, claims, resumed, inbox, next_due or false, more}
--          verdict: a number, or {number, outcomes, ids of the cycle}; outcome: {id, outcome}
--          claim {id, epoch, attempt, crashes, queue, rank, cancel_requested, stored call}
--          resumed {id, epoch, timed_out, outcomes}; inbox: packed messages, see shared/ending.lua
-- Refuses  SESSION_GONE, with nothing applied
-- Atomic; O((d + c) log N) for d completions and c claims.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/waking.lua
--- include shared/ending.lua
--- include shared/sessions.lua
--- include shared/waiting.lua
--- include shared/settling.lua
--- include shared/claiming.lua
--- include shared/forgetting.lua
--- include shared/ticking.lua

local request = unpack_record(ARGV[2])
local session, completions, started, progress = request[1], request[2], request[3], request[4]
local want, queues, claims_new, sleeps = request[5], request[6], request[7], request[8]

engine.renew(session)
call('HDEL', P .. 'idle', session)

local ids = {}
for _, note in ipairs(progress) do ids[#ids + 1] = note[1] end
for _, done in ipairs(completions) do ids[#ids + 1] = done[2] end
for _, note in ipairs(started) do ids[#ids + 1] = note[1] end
engine.fetch(ids)

for _, note in ipairs(progress) do
  if engine.owned_record(session, note[1], note[2]) then call('SET', P .. 'g' .. note[1], note[3]) end
end
local verdicts = {}
for place, done in ipairs(completions) do verdicts[place] = engine.settle(session, done) end
for _, note in ipairs(started) do engine.note_started(session, note) end
engine.flush()

local _, more = engine.tick(request[9])
local resumed = engine.claim_resumable(session, want)
local claims = claims_new and engine.claim_new(session, queues, want - #resumed, request[10], request[11]) or {}
engine.flush()
engine.wake()
if sleeps and #resumed + #claims < want then call('HSET', P .. 'idle', session, pack(queues)) end

local inbox = call('LRANGE', P .. 'x' .. session, 0, -1)
if #inbox > 0 then call('DEL', P .. 'x' .. session) end
engine.ring_bells()
return pack({ verdicts, claims, resumed, inbox, engine.next_due(), more })
