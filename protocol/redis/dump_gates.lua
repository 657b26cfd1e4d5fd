-- dump_gates: what there is of gates, for tests.
--
-- ARGV[2]  ids of live invocations
-- Reply    {lanes, resumes, units, flows, rates, breakers, settings, timers}: lanes {first member, members, parked or false,
--          trial or false}; resumes {id, parked or false, trial or false}; units {gate, {id, packed, ...}}; flows {queue,
--          virtual time or false, {flow, packed, ...}}; the rest as their keys have it
-- One consistent read; O(everything).

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/gating.lua

local listed, resumes, units, flows = {}, {}, {}, {}
local seen = {}
for _, id in ipairs(unpack_record(ARGV[2])) do
  local r = engine.record(id)
  local gated = r and r[C_GATED]
  if gated and r[C_STATE] == READY and r[C_OWNER] == 0 then
    local lane = engine.lane(r)
    if not seen['l' .. lane.key] then
      seen['l' .. lane.key] = true
      listed[#listed + 1] = { lane.first or '', engine.members_of(lane), lane.parked, lane.trial }
    end
  end
  if gated and (gated[G_PARKED] or gated[G_TRIAL]) then
    resumes[#resumes + 1] = { id, gated[G_PARKED], gated[G_TRIAL] }
  end
  for _, gate in ipairs(gated and gated[G_GATES] or {}) do
    local name = gate[GATE_NAME]
    if not seen[name] then
      seen[name] = true
      units[#units + 1] = { name, call('HGETALL', P .. 'H' .. name) }
    end
  end
end
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
  local shares = call('HGETALL', P .. 'f' .. queue)
  if #shares > 0 then flows[#flows + 1] = { queue, call('HGET', P .. 'gates:virtual', queue), shares } end
end
local to_come = string.format('(%.0f', now)
return pack({
  listed, resumes, units, flows, call('ZRANGEBYSCORE', P .. 'gates:rates', to_come, '+inf', 'WITHSCORES'),
  call('HGETALL', P .. 'gates:breakers'), call('HGETALL', P .. 'gates:settings'),
  call('ZRANGE', P .. 'gates:timers', 0, -1, 'WITHSCORES'),
})
