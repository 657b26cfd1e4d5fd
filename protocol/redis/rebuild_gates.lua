-- rebuild_gates: units only for those that may have them, all for those that run, and every lane and resumable invocation
-- out again, a part at a time: the claims that follow find out what is closed.
--
-- ARGV[2]  {part, cursor, budget}; parts, each called until its cursor is '' again:
--          'empty' takes what follows from records away, by id; 'enter' queues what is READY in its lane, by queue, rank and id;
--          'end' lets claims go on
-- Reply    next cursor or ''
-- Atomic per call, so that others get their turn in between; O(budget log N). Until the end nothing gated is handed out, at
-- most for ten seconds after a call, so that whoever comes first is claimed first; units are never fewer than those that run.
-- What is interrupted is begun again: until then lanes that were not entered wait, which `verify` names.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/gating.lua
--- include shared/gate_verifying.lua
--- include shared/waking.lua
--- include shared/listing.lua

local MOST_PAUSE = 10000000
local FROM_THE_START = string.rep(' ', 20)

if not identity[3] then return '' end

local request = unpack_record(ARGV[2])
local part, cursor, budget = request[1], request[2], request[3]
local queues = engine.sorted_ids(call('SMEMBERS', P .. 'queues'))
local seen = {}

local function prune_units(name)
  local raw = call('HGETALL', P .. 'H' .. name)
  for place = 1, #raw, 2 do
    if not engine.may_hold(engine.record(raw[place]), name) then call('HDEL', P .. 'H' .. name, raw[place]) end
  end
end

-- A gate nobody waits before, with those inside that may be there.
local function empty_gate(name, queue)
  call('UNLINK', P .. 'R' .. name, engine.parked_index(name, queue))
  if seen[name] then return end
  seen[name] = true
  call('UNLINK', P .. 'G' .. name)
  prune_units(name)
  engine.count_inside(name)
end

-- Every place of a lane, of the gates and of the flow of a record.
local function empty_places(r)
  local key, gated = engine.lane_key(r), r[C_GATED]
  call('UNLINK', P .. 'L' .. key, P .. 'M' .. key)
  call('ZREM', P .. 'Q' .. r[C_QUEUE], r.id)
  if gated[G_FLOW] then call('UNLINK', engine.flow_index(r[C_QUEUE], gated[G_FLOW][1])) end
  for _, gate in ipairs(gated[G_GATES]) do empty_gate(gate[GATE_NAME], r[C_QUEUE]) end
  for _, each in ipairs(gated[G_LENDERS] or {}) do
    for _, lender in ipairs(each[2]) do call('UNLINK', P .. 'K' .. lender .. each[1]) end
  end
  gated[G_LENDERS], gated[G_PARKED], gated[G_TRIAL] = false, false, false
  engine.touch(r)
  for _, gate in ipairs(r[C_STATE] == OWNED and gated[G_GATES] or {}) do
    if engine.misses(r, gate) then
      call('HSET', P .. 'H' .. gate[GATE_NAME], r.id, pack({ r[C_CLAIMED_AT] or now, {}, engine.limit_of(gate) }))
      engine.count_inside(gate[GATE_NAME])
    end
  end
end

local function empty()
  if cursor == '' then
    for _, queue in ipairs(queues) do
      call('UNLINK', P .. 'Q' .. queue, P .. 'f' .. queue)
      call('HDEL', P .. 'n', 'p' .. queue)
    end
    call('DEL', P .. 'gates:timers', P .. 'gates:virtual')
  end
  local ids = call('ZRANGEBYLEX', P .. 'all', cursor == '' and '-' or '(' .. cursor, '+', 'LIMIT', 0, budget)
  engine.fetch(ids)
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if r and r[C_GATED] then empty_places(r) end
  end
  return #ids < budget and '' or ids[#ids]
end

-- Whether an invocation is in its lane.
local function is_entered(r)
  local lane = engine.lane(r)
  return lane.first == r.id or (lane.size > 1 and call('ZSCORE', P .. 'L' .. lane.key, r.id))
end

-- Where to go on after the entry of this rank and id; if that has gone meanwhile, with all of its rank: who is entered stays.
local function place_after(index, rank, id)
  local place = call('ZRANK', index, id)
  return place and place + 1 or call('ZCOUNT', index, '-inf', '(' .. rank)
end

local function enter_some(queue, place)
  local entries = call('ZRANGE', P .. 'A' .. queue, place, place + budget - 1, 'WITHSCORES')
  local ids = {}
  for at = 1, #entries, 2 do ids[#ids + 1] = entries[at] end
  engine.fetch(ids)
  engine.fetch_gating(ids)
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if r and r[C_GATED] and r[C_STATE] == READY and r[C_OWNER] == 0 and not is_entered(r) then
      engine.enter_lane(r)
      engine.touch(r)
    end
  end
  if #ids == budget then return string.format('%020.0f', entries[#entries]) .. ids[#ids] end
end

-- The cursor is a queue, after the rank and the id to go on after.
local function enter()
  local queue, place = queues[1], 0
  if cursor == '' then
    for _, each in ipairs(queues) do call('HDEL', P .. 'n', 'p' .. each) end
  else
    local rank, id = string.sub(cursor, 1, 20), string.sub(cursor, 21, 36)
    queue = string.sub(cursor, 37)
    if rank ~= FROM_THE_START then place = place_after(P .. 'A' .. queue, rank, id) end
  end
  if not queue then return '' end
  local entered = enter_some(queue, place)
  if entered then return entered .. queue end
  for _, each in ipairs(queues) do
    if engine.before(queue, each) then return FROM_THE_START .. string.rep(' ', 16) .. each end
  end
  return ''
end

-- Whoever slept over it is woken.
local function stop()
  call('HDEL', P .. 'meta', 'mending')
  for _, queue in ipairs(queues) do engine.woken[queue] = call('ZCARD', P .. 'A' .. queue) end
  return ''
end

local PARTS = { empty = empty, enter = enter, ['end'] = stop }
if part ~= 'end' then call('HSET', P .. 'meta', 'mending', string.format('%.0f', now + MOST_PAUSE)) end
local following = PARTS[part]()
engine.finish()
return following
