-- Lanes: what is READY behind the same gates, and where each lane's token is; see SEMANTICS.md, "Lanes and gates".
--
-- The token of a lane is its first member, by (rank, id). It is in the index of the gate before which the lane is parked,
-- else, if the lane has a flow, in the index of that flow, else in `Q<queue>`. In `Q<queue>` is also the first token of each
-- flow, under the tag of the flow instead of its rank.

local lanes = {} -- key -> lane, as far as this call has met them

-- Queue, flow, names and modes of the gates, lenders.
function engine.lane_key(r)
  local gated, gates = r[C_GATED], {}
  for place, gate in ipairs(gated[G_GATES]) do
    gates[2 * place - 1], gates[2 * place] = gate[GATE_NAME], gate[GATE_MODE]
  end
  return pack({ r[C_QUEUE], gated[G_FLOW] and gated[G_FLOW][1], gates, gated[G_LENDERS] or {} })
end

-- What is kept of a lane while it has members: {gate before which it is parked or false, gate that it tries or false, its
-- first member, rank of that, how many they are}.
local function adopt_lane(r, key, kept)
  local gated = r[C_GATED]
  local lane = {
    key = key, queue = r[C_QUEUE], flow = gated[G_FLOW] and gated[G_FLOW][1], lenders = gated[G_LENDERS] or {},
    parked = false, trial = false, size = 0,
  }
  if kept then
    kept = unpack_record(kept)
    lane.parked, lane.trial, lane.first, lane.rank, lane.size = kept[1], kept[2], kept[3], kept[4], kept[5]
  end
  lanes[key] = lane
  return lane
end

-- The lane of a gated record.
function engine.lane(r)
  if r.lane then return r.lane end
  local key = engine.lane_key(r)
  r.lane = lanes[key] or adopt_lane(r, key, call('GET', P .. 'M' .. key))
  return r.lane
end

local function forget_lanes()
  lanes = {}
end

-- Load the lanes of many records at once.
function engine.fetch_lanes(all)
  local missing, keys, names = {}, {}, {}
  for _, r in ipairs(all) do
    if not r.lane then
      local key = engine.lane_key(r)
      r.lane = lanes[key]
      if not r.lane then
        missing[#missing + 1], keys[#keys + 1], names[#names + 1] = r, key, P .. 'M' .. key
      end
    end
  end
  local kept = engine.get_many(names)
  for place, r in ipairs(missing) do
    r.lane = lanes[keys[place]] or adopt_lane(r, keys[place], kept[place])
  end
end

local changed_lanes = {}

-- Note that a lane has to be written.
function engine.touch_lane(lane)
  changed_lanes[lane] = true
end

local function write_lanes()
  local kept, gone = {}, {}
  for lane in pairs(changed_lanes) do
    local name = P .. 'M' .. lane.key
    if lane.first then
      local size = #kept
      kept[size + 1], kept[size + 2] = name, pack({ lane.parked, lane.trial, lane.first, lane.rank, lane.size })
    else
      gone[#gone + 1] = name
    end
  end
  changed_lanes = {}
  engine.call_many('MSET', nil, kept, 2)
  engine.call_many('DEL', nil, gone)
end

-- A lane that is known by its key, false if it is gone.
function engine.lane_of(key)
  local lane = lanes[key]
  if lane then return lane end
  local kept = call('GET', P .. 'M' .. key)
  local r = kept and engine.record(unpack_record(kept)[3])
  return r and engine.lane(r)
end

-- The members of a lane; one alone has no index.
function engine.members_of(lane)
  if lane.size == 1 then return { lane.first } end
  return call('ZRANGE', P .. 'L' .. lane.key, 0, -1)
end

-- --- members ---

-- Queue an invocation that became READY in its lane.
function engine.enter_lane(r)
  local lenders, rank = engine.lenders_of(r), r[C_RANK]
  local has_lenders = #lenders > 0
  if has_lenders or r[C_GATED][G_LENDERS] then r.lane = nil end
  r[C_GATED][G_LENDERS] = has_lenders and lenders
  local lane = engine.lane(r)
  if lane.size == 1 then call('ZADD', P .. 'L' .. lane.key, lane.rank, lane.first) end
  if lane.size > 0 then call('ZADD', P .. 'L' .. lane.key, rank, r.id) end
  lane.size = lane.size + 1
  engine.touch_lane(lane)
  if not lane.first then
    lane.first, lane.rank = r.id, rank
    engine.place_token(lane)
  elseif engine.precedes(rank, r.id, lane.rank, lane.first) then
    engine.swap_token(lane, r.id, rank)
  end
  if lane.parked then
    engine.count_class(lane.queue, 'p', 1)
    -- It may come before those that try the gate now.
    if lane.first == r.id then engine.activate(lane.parked) end
  else
    engine.woken[lane.queue] = (engine.woken[lane.queue] or 0) + 1
  end
end

-- Take an id out of the index of members; return the first of them then, and its rank.
local function leave_members(lane, id)
  if lane.size < 2 then return {} end
  local index = P .. 'L' .. lane.key
  call('ZREM', index, id)
  local first = call('ZRANGE', index, 0, 0, 'WITHSCORES')
  if lane.size == 2 then call('DEL', index) end
  return first
end

-- Take an invocation out of its lane; return the lane, which has no `first` any more if that was its last member.
function engine.leave_lane(r)
  local lane = engine.lane(r)
  r.lane = nil
  local first = leave_members(lane, r.id)
  lane.size = lane.size - 1
  engine.touch_lane(lane)
  if lane.parked then engine.count_class(lane.queue, 'p', -1) end
  if lane.first ~= r.id then return lane end
  if first[1] then
    engine.swap_token(lane, first[1], tonumber(first[2]))
  else
    engine.take_token(lane)
    lane.first = nil
  end
  return lane
end

function engine.parent_id(id)
  local r = engine.record(id)
  if r and r[C_GATED] then return r[C_GATED][G_PARENT] end
  if r and r.parent then return r.parent end
  local lineage = call('GETRANGE', P .. 'c' .. id, 0, 16)
  return string.byte(lineage, 1) == 1 and string.sub(lineage, 2) or ''
end

-- {gate, ids} for each of an invocation's slots that living ancestors keep while they wait: the nearest first.
function engine.lenders_of(r)
  local gated, found = r[C_GATED], {}
  local parent = gated[G_PARENT]
  if parent == '' then return found end
  for step = 1, MOST_ANCESTORS do
    if parent == '' then break end
    local above = engine.record(parent)
    for _, gate in ipairs(above and above[C_GATED] and above[C_GATED][G_GATES] or {}) do
      local name = gate[GATE_NAME]
      if gate[GATE_HOLDS] == true and string.byte(name) == KIND_SLOTS then
        found[name] = found[name] or {}
        table.insert(found[name], parent)
      end
    end
    parent = engine.parent_id(parent)
  end
  local lenders = {}
  for _, gate in ipairs(gated[G_GATES]) do
    local name = gate[GATE_NAME]
    if found[name] then lenders[#lenders + 1] = { name, found[name] } end
  end
  return lenders
end

function engine.lenders_for(lenders, gate)
  for _, each in ipairs(lenders) do
    if each[1] == gate then return each[2] end
  end
  return {}
end

-- --- tokens ---

local changed_tokens = {} -- queue -> id -> the order of its token in `Q<queue>`, false: it has none there; not written yet
engine.token_readers = {} -- queue -> who reads its tokens, and is told of every change: see gated_claiming.lua

function engine.put_token(queue, order, id)
  changed_tokens[queue] = changed_tokens[queue] or {}
  changed_tokens[queue][id] = order
  if engine.token_readers[queue] then engine.token_readers[queue].put(order, id) end
end

function engine.drop_token(queue, id)
  changed_tokens[queue] = changed_tokens[queue] or {}
  changed_tokens[queue][id] = false
  if engine.token_readers[queue] then engine.token_readers[queue].drop(id) end
end

-- Write what became of the tokens.
local function write_tokens()
  for queue, orders in pairs(changed_tokens) do
    local added, taken = {}, {}
    for id, order in pairs(orders) do
      if order then
        local size = #added
        added[size + 1], added[size + 2] = order, id
      else
        taken[#taken + 1] = id
      end
    end
    engine.call_many('ZREM', P .. 'Q' .. queue, taken)
    engine.call_many('ZADD', P .. 'Q' .. queue, added, 2)
  end
  changed_tokens = {}
end

function engine.parked_index(gate, queue)
  return P .. 'B' .. #gate .. ':' .. gate .. queue
end

function engine.flow_index(queue, flow)
  return P .. 'F' .. #queue .. ':' .. queue .. flow
end

-- Where the token of a lane is that is parked or has a flow.
function engine.index_of(lane)
  if lane.parked then return engine.parked_index(lane.parked, lane.queue) end
  return engine.flow_index(lane.queue, lane.flow)
end

function engine.place_token(lane)
  if not lane.parked and not lane.flow then return engine.put_token(lane.queue, lane.rank, lane.first) end
  call('ZADD', engine.index_of(lane), lane.rank, lane.first)
  if lane.parked then
    engine.count_parked(lane.parked, lane.queue, 1)
  elseif lane.flow then
    engine.place_share(lane.queue, lane.flow)
  end
end

function engine.take_token(lane)
  if not lane.parked and not lane.flow then return engine.drop_token(lane.queue, lane.first) end
  call('ZREM', engine.index_of(lane), lane.first)
  if lane.parked then
    engine.count_parked(lane.parked, lane.queue, -1)
    engine.forget_kin('l' .. lane.key, lane.parked, lane.lenders)
  elseif lane.flow then
    engine.place_share(lane.queue, lane.flow)
  end
end

-- Another member is the first now.
function engine.swap_token(lane, id, rank)
  local first = lane.first
  lane.first, lane.rank = id, rank
  if not lane.parked and not lane.flow then
    engine.drop_token(lane.queue, first)
    return engine.put_token(lane.queue, rank, id)
  end
  local index = engine.index_of(lane)
  call('ZREM', index, first)
  call('ZADD', index, rank, id)
  if not lane.parked then engine.place_share(lane.queue, lane.flow) end
end

-- Park a lane before a gate, or let it out again.
function engine.move_lane(lane, parked, trial)
  engine.take_token(lane)
  if (lane.parked and true) ~= (parked and true) then
    engine.count_class(lane.queue, 'p', parked and lane.size or -lane.size)
  end
  lane.parked, lane.trial = parked, trial
  engine.place_token(lane)
  engine.touch_lane(lane)
  if parked then engine.note_kin('l' .. lane.key, parked, lane.lenders) end
end

-- Remember that what is parked before `gate` could pass it on the unit of a lender: 'l' and a lane, or 'r' and an id.
function engine.note_kin(token, gate, lenders)
  for _, lender in ipairs(engine.lenders_for(lenders, gate)) do call('SADD', P .. 'K' .. lender .. gate, token) end
end

function engine.forget_kin(token, gate, lenders)
  for _, lender in ipairs(engine.lenders_for(lenders, gate)) do call('SREM', P .. 'K' .. lender .. gate, token) end
end
