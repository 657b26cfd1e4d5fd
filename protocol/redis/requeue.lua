-- requeue: put final invocations back to READY; the outcome moves to the attempts.
--
-- ARGV[2]  ids
-- Reply    those that were final
-- Atomic; O(n log N).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua

-- The gates and the flow of a call that was final, and its place in a lane.
function engine.gate_again(r)
  if not engine.gate then return end
  local stored = call('GET', P .. 'c' .. r.id)
  local has_parent = string.byte(stored, 1) == 1
  local ok, known = pcall(unpack_record, string.sub(stored, has_parent and 34 or 2))
  if not ok or not known[7] then return end
  r[C_GATED] = { known[7], known[8], has_parent and string.sub(stored, 2, 17) or '', false, false, false }
  engine.ready(r)
end

local function put_back_final(id, o, sequence)
  local failed = o[O_STATUS] == STATUS_FAILED
  call('RPUSH', P .. 'a' .. id, pack({
    o[O_ATTEMPT], o[O_EPOCH], REASON_REQUEUED, o[O_SESSION], o[O_WORKER], o[O_CLAIMED_AT] or o[O_REGISTERED_AT],
    o[O_STARTED_AT], o[O_ENDED_AT], failed and o[O_PAYLOAD] or '', o[O_STATUS], false,
  }))
  call('DEL', P .. 'o' .. id)
  engine.drop_outcome(id, o)
  local r = engine.create(id, {
    READY, REASON_REQUEUED, o[O_QUEUE], o[O_BAND] * BAND_UNIT + sequence, o[O_REGISTERED_AT], o[O_RETENTION],
    o[O_MAX_CRASHES],
  })
  engine.gate_again(r)
  r[C_EPOCH], r[C_KEY], r[C_KEY_PHASE] = o[O_EPOCH], o[O_KEY], o[O_KEY_PHASE]
end

local sequence = tonumber(call('HGET', P .. 'meta', 'sequence') or FIRST_SEQUENCE)
local requeued = {}
for _, id in ipairs(engine.distinct(unpack_record(ARGV[2]))) do
  local o = engine.outcome(id)
  if o then
    put_back_final(id, o, sequence)
    sequence = sequence + 1
    requeued[#requeued + 1] = id
  end
end
if #requeued > 0 then call('HSET', P .. 'meta', 'sequence', sequence) end
engine.finish()
return pack(requeued)
