-- rebuild_gates: units only for those that may have them, all for those that run, and every lane and resumable invocation
-- out again: the claims that follow find out what is closed.
--
-- Reply    1
-- Atomic; O(n log N) for n gated invocations that are not final: for repair only.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/gating.lua
--- include shared/gate_verifying.lua
--- include shared/waking.lua
--- include shared/listing.lua

if not identity[3] then return 1 end

local live, queued, names, seen = {}, {}, {}, {}

local function collect(ids)
  engine.fetch(ids)
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if r and r[C_GATED] and not seen[id] then
      seen[id] = true
      live[#live + 1] = r
    end
  end
end

-- Every place of a lane, of the gates and of the flow of a record.
local function empty_places(r)
  local key, gated = engine.lane_key(r), r[C_GATED]
  call('UNLINK', P .. 'L' .. key, P .. 'M' .. key)
  if gated[G_FLOW] then call('UNLINK', engine.flow_index(r[C_QUEUE], gated[G_FLOW][1])) end
  for _, gate in ipairs(gated[G_GATES]) do
    local name = gate[GATE_NAME]
    names[name] = true
    call('UNLINK', P .. 'G' .. name, P .. 'R' .. name, engine.parked_index(name, r[C_QUEUE]))
  end
  for _, each in ipairs(gated[G_LENDERS] or {}) do
    for _, lender in ipairs(each[2]) do call('UNLINK', P .. 'K' .. lender .. each[1]) end
  end
end

local function prune_units(name)
  local raw = call('HGETALL', P .. 'H' .. name)
  for place = 1, #raw, 2 do
    if not engine.may_hold(engine.record(raw[place]), name) then call('HDEL', P .. 'H' .. name, raw[place]) end
  end
  engine.count_inside(name)
end

local function rebuild(r)
  local gated = r[C_GATED]
  gated[G_LENDERS], gated[G_PARKED], gated[G_TRIAL] = false, false, false
  engine.touch(r)
  if r[C_STATE] == READY and r[C_OWNER] == 0 then queued[#queued + 1] = r end
  for _, gate in ipairs(r[C_STATE] == OWNED and gated[G_GATES] or {}) do
    if engine.misses(r, gate) then
      call('HSET', P .. 'H' .. gate[GATE_NAME], r.id, pack({ r[C_CLAIMED_AT] or now, {}, engine.limit_of(gate) }))
      engine.count_inside(gate[GATE_NAME])
    end
  end
end

local queues = call('SMEMBERS', P .. 'queues')
for _, queue in ipairs(queues) do collect(call('ZRANGE', P .. 'A' .. queue, 0, -1)) end
for _, number in ipairs(engine.live_sessions()) do collect(call('SMEMBERS', P .. 'w' .. number)) end
collect(call('ZRANGE', P .. 't', 0, -1))
for _, r in ipairs(live) do empty_places(r) end
for _, queue in ipairs(queues) do
  call('UNLINK', P .. 'Q' .. queue, P .. 'f' .. queue)
  call('HDEL', P .. 'n', 'p' .. queue)
end
call('DEL', P .. 'gates:timers', P .. 'gates:virtual')
for name in pairs(names) do prune_units(name) end
for _, r in ipairs(live) do rebuild(r) end
table.sort(queued, function(one, other) return engine.precedes(one[C_RANK], one.id, other[C_RANK], other.id) end)
for _, r in ipairs(queued) do engine.enter_lane(r) end
engine.finish()
return 1
