-- What stands before one limit and is otherwise plain, byte by byte, as in shared/plain.lua.
--
-- Limited is a record of which one gate is kept, of slots, and neither lenders nor where it is parked nor what it tries. All
-- but the name of the gate is the same in many of them, so it is decoded once. As long as nobody is parked before a gate,
-- nobody tries it and no unit of it is lent, there is nothing to know of it but how many are inside; and a lane that
-- is not parked and tries nothing is only its first member and their number. Whatever is more is left to the unit of work.

--- include shared/ids.lua
--- include shared/texts.lua

-- No parent, no lenders, not parked, on no trial.
local NOTHING_NOTED = pack('', false, false, false)
local LANE_HEAD = '\149' .. pack(false, false) .. '\176'
local ONLY_INSIDE = string.sub(pack({ 0, 0, {}, {}, {}, 0 }), 3)

local limits = {}     -- what follows the name of the gate -> what it says, or false
local lane_heads = {} -- queue -> what the name of what is kept of a lane begins with
local gates = {}      -- name -> how many are inside, as it is now; false if there is more to it

local function read_limit(rest)
  local ok, mode, most, _, _, flow, _, lenders, parked, trial = pcall(unpack_record, rest)
  if not ok or lenders or parked or trial then return false end
  return { most = most, has_flow = flow ~= false, unit = pack({ now, {}, most }), lane_end = pack(mode) .. pack({}) }
end

-- What is kept of gates between these places, if it is one limit; then the name of that.
local function limit_in(blob, first, last)
  local number, size = string.byte(blob, first, first + 1)
  if number ~= 145 or size ~= 149 then return end
  local from, to = engine.text_in(blob, first + 2)
  if not from then return end
  local rest = string.sub(blob, to + 1, last)
  local limit = limits[rest]
  if limit == nil then
    limit = read_limit(rest)
    limits[rest] = limit
  end
  if limit then return limit, string.sub(blob, from, to) end
end

-- The name of what is kept of the lane of such a record without a flow: 'M' and `engine.lane_key`.
local function name_of_lane(queue, limit, name)
  local head = lane_heads[queue]
  if not head then
    head = P .. 'M\148' .. pack(queue, false) .. '\146'
    lane_heads[queue] = head
  end
  return head .. engine.text_head(#name) .. name .. limit.lane_end
end

-- The members of a lane, by the name of what is kept of it.
local function members_of(lane)
  return P .. 'L' .. string.sub(lane, #P + 2)
end

-- Load what is kept of gates that are not known yet, for as many inside as one byte says.
local function fetch_inside(names)
  local missing, keys = {}, {}
  for _, name in ipairs(names) do
    if gates[name] == nil then
      gates[name] = false
      missing[#missing + 1], keys[#keys + 1] = name, P .. 'G' .. name
    end
  end
  for place, kept in ipairs(engine.get_many(keys)) do
    local inside = 0
    if kept then
      inside = #kept == 7 and string.sub(kept, 3) == ONLY_INSIDE and string.byte(kept, 2)
    end
    gates[missing[place]] = inside and inside < 128 and { name = missing[place], key = keys[place], inside = inside }
  end
end

-- Write how many are inside of these gates.
local function write_inside(changed)
  local kept, gone = {}, {}
  for _, gate in ipairs(changed) do
    if gate.inside > 0 then
      kept[#kept + 1], kept[#kept + 2] = gate.key, '\150' .. pack(gate.inside) .. ONLY_INSIDE
    else
      gone[#gone + 1], gone[#gone + 2] = gate.key, P .. 'H' .. gate.name
    end
  end
  engine.call_many('MSET', nil, kept, 2)
  engine.call_many('DEL', nil, gone)
end

-- Append to what is to be said of a gate.
local function note_at(gate, changed, first, second)
  local noted = gate.noted
  if not noted then
    noted = {}
    gate.noted, changed[#changed + 1] = noted, gate
  end
  local size = #noted
  noted[size + 1], noted[size + 2] = first, second
end

-- --- submitting ---

-- Write new invocations that are alike but for id, call and gates, of whatever kind, except for their lanes; nothing is known of
-- their ids. Return ids, ranks and gates of those that are to enter lanes.
function engine.create_gated(shared, flat, sequence)
  local queue = shared[1]
  local before, behind = engine.fresh_record(queue, shared[3], shared[4])
  local rank, calls, control = shared[2] * BAND_UNIT + sequence, P .. 'c', P .. 'i'
  local stored, listed, ready, number = {}, {}, {}, 0
  local entering = { ids = {}, ranks = {}, gates = {} }
  before = NOTHING_NOTED .. before
  for at = 1, #flat, 3 do
    local id, given = flat[at], flat[at + 2]
    local head = engine.gated_head(#given + #NOTHING_NOTED)
    stored[4 * number + 1], stored[4 * number + 2] = calls .. id, flat[at + 1]
    stored[4 * number + 3], stored[4 * number + 4] = control .. id, head .. given .. before .. pack(rank) .. behind
    listed[2 * number + 1], listed[2 * number + 2] = '0', id
    ready[2 * number + 1], ready[2 * number + 2] = rank, id
    number = number + 1
    entering.ids[number], entering.ranks[number], entering.gates[number] = id, rank, given
    rank = rank + 1
  end
  engine.call_many('MSET', nil, stored, 2)
  engine.call_many('ZADD', P .. 'all', listed, 2)
  engine.call_many('ZADD', P .. 'A' .. queue, ready, 2)
  return entering
end

-- The lanes of new invocations by name, {rank, first, members if they are many}, and these names in order; nothing if one of them
-- has more than a limit.
local function lanes_to_enter(queue, entering)
  local lanes, names = {}, {}
  for place, id in ipairs(entering.ids) do
    local given, rank = entering.gates[place], entering.ranks[place]
    local limit, name = limit_in(given, 1, #given)
    if not limit or limit.has_flow then return end
    local key = name_of_lane(queue, limit, name)
    local lane = lanes[key]
    if lane then
      lane.members = lane.members or { lane.rank, lane.first }
      local size = #lane.members
      lane.members[size + 1], lane.members[size + 2] = rank, id
    else
      lanes[key], names[#names + 1] = { rank = rank, first = id }, key
    end
  end
  return lanes, names
end

-- Queue new invocations of one queue, of rising ranks, in their lanes; false, with nothing done, if that takes the unit of work.
function engine.enter_limited(queue, entering)
  local lanes, names = lanes_to_enter(queue, entering)
  if not lanes then return false end
  local kept, tokens, parked, runnable, known_lanes = {}, {}, 0, 0, engine.get_many(names)
  for place, name in ipairs(names) do
    local lane, known = lanes[name], known_lanes[place]
    local number = lane.members and #lane.members / 2 or 1
    if known then
      known = unpack_record(known)
      if known[4] >= lane.rank then return false end
      lane.members = lane.members or { lane.rank, lane.first }
      if known[5] == 1 then lane.members[2 * number + 1], lane.members[2 * number + 2] = known[4], known[3] end
      known[5] = known[5] + number
    else
      tokens[#tokens + 1], tokens[#tokens + 2] = lane.rank, lane.first
    end
    kept[2 * place - 1] = name
    kept[2 * place] = known and pack(known) or LANE_HEAD .. lane.first .. pack(lane.rank, number)
    if known and known[1] then parked = parked + number else runnable = runnable + number end
  end
  for _, name in ipairs(names) do
    if lanes[name].members then engine.call_many('ZADD', members_of(name), lanes[name].members, 2) end
  end
  engine.call_many('MSET', nil, kept, 2)
  engine.call_many('ZADD', P .. 'Q' .. queue, tokens, 2)
  if parked > 0 then call('HINCRBY', P .. 'n', 'p' .. queue, parked) end
  if runnable > 0 then engine.woken[queue] = (engine.woken[queue] or 0) + runnable end
  return true
end

-- --- settling ---

-- Where the arrays of gated ones of these records begin, by place, and their gates, false where that takes the unit of work.
function engine.limits_left(blobs)
  local left, names = {}, {}
  for place, blob in ipairs(blobs) do
    local skipped, first = 0, nil
    if blob then skipped, first = engine.array_in(blob) end
    if first then
      local _, name = limit_in(blob, first, skipped)
      left[place] = { skipped = skipped, gate = name or false }
      names[#names + 1] = name
    end
  end
  fetch_inside(names)
  for _, each in pairs(left) do each.gate = each.gate and gates[each.gate] end
  return left
end

-- Give the units of these up; nobody waits before gates of which nothing else is known.
function engine.leave_limits(ids, left)
  local changed = {}
  for place, id in ipairs(ids) do
    if left[place] then note_at(left[place].gate, changed, id) end
  end
  for _, gate in ipairs(changed) do
    gate.inside = math.max(0, gate.inside - #gate.noted)
    if gate.inside > 0 then engine.call_many('HDEL', P .. 'H' .. gate.name, gate.noted) end
    gate.noted = nil
  end
  write_inside(changed)
end

-- --- claiming ---

-- The first entries of the indexes of these queues in order, id and rank of each, and whether these are all.
local function first_entries(queues, number)
  local parts, are_all = {}, true
  for _, queue in ipairs(queues) do
    for _, index in ipairs({ 'q', 'Q' }) do
      local part = call('ZRANGE', P .. index .. queue, 0, number - 1, 'WITHSCORES')
      if #part > 0 then parts[#parts + 1] = part end
      are_all = are_all and #part < 2 * number
    end
  end
  if #parts == 1 then return parts[1], are_all end
  local entries, first = {}, {}
  for _, part in ipairs(parts) do
    for at = 1, #part, 2 do entries[#entries + 1] = { tonumber(part[at + 1]), part[at] } end
  end
  table.sort(entries, function(one, other) return engine.precedes(one[1], one[2], other[1], other[2]) end)
  for place = 1, math.min(number, #entries) do
    first[2 * place - 1], first[2 * place] = entries[place][2], entries[place][1]
  end
  return first, are_all and #entries <= number
end

-- Those of such entries that are plain or limited, READY and free, up to the first one that is not.
local function limited_entries(entries)
  local keys, found, limited = {}, {}, {}
  for at = 1, #entries, 2 do keys[#keys + 1] = P .. 'i' .. entries[at] end
  for place, blob in ipairs(engine.get_many(keys)) do
    if not blob then break end
    local skipped, first = engine.array_in(blob)
    local shape, place_of_rank = engine.shape_of(blob, skipped)
    if not shape or not shape.is_ready then break end
    local limit, name
    if first then
      limit, name = limit_in(blob, first, skipped)
      if not limit or limit.has_flow then break end
    end
    local entry = {
      id = entries[2 * place - 1], rank = tonumber(entries[2 * place]), blob = blob, skipped = skipped,
      place_of_rank = place_of_rank, shape = shape, limit = limit, name = name, kept = false, most = false, unit = false,
      lane = limit and name_of_lane(shape.queue, limit, name),
    }
    found[place] = entry
    if limit then limited[#limited + 1] = entry end
  end
  return found, limited
end

-- Load lanes and gates of such entries, and what was set of these gates.
local function fetch_limits(limited)
  if #limited == 0 then return end
  local names, lanes = {}, {}
  for place, entry in ipairs(limited) do names[place], lanes[place] = entry.name, entry.lane end
  fetch_inside(names)
  local kept, are_set = engine.get_many(lanes), call('EXISTS', P .. 'gates:settings') == 1
  for place, entry in ipairs(limited) do
    local set = are_set and call('HGET', P .. 'gates:settings', entry.name)
    entry.kept, entry.most, entry.unit = kept[place], entry.limit.most, entry.limit.unit
    if set then
      entry.most = unpack_record(set)[1]
      entry.unit = pack({ now, {}, entry.most })
    end
  end
end

-- How many members the lane of an entry has, nothing if it does not begin with it, or is parked, or tries a gate.
local function size_of_lane(entry)
  local kept = entry.kept
  if not kept or string.sub(kept, 1, 4) ~= LANE_HEAD or string.sub(kept, 5, 20) ~= entry.id then return end
  return unpack_record(string.sub(kept, 30))
end

-- The member that follows in a lane of more than one, and its rank; nothing if there is none, as only after damage.
local function second_of(entry)
  local first = call('ZRANGE', members_of(entry.lane), 0, 1, 'WITHSCORES')
  if first[1] == entry.id then return first[3], tonumber(first[4]) end
end

-- Take an entry out of its lane of this size, in which `follower` is next.
local function leave_limited_lane(entry, size, follower, rank, changes)
  local queue, lane = entry.shape.queue, entry.lane
  engine.add(changes.taken, 'Q' .. queue, entry.id)
  engine.add(changes.taken, 'A' .. queue, entry.id)
  if size < 3 then changes.gone[#changes.gone + 1] = size == 1 and lane or members_of(lane) end
  if size == 1 then return end
  local kept = changes.kept
  kept[#kept + 1], kept[#kept + 2] = lane, LANE_HEAD .. follower .. pack(rank, size - 1)
  engine.add(changes.added, 'Q' .. queue, rank, follower)
  if size > 2 then engine.add(changes.taken, string.sub(members_of(lane), #P + 1), entry.id) end
end

local function write_changes(changes)
  for name, ids in pairs(changes.taken) do engine.call_many('ZREM', P .. name, ids) end
  for name, pairs_of in pairs(changes.added) do engine.call_many('ZADD', P .. name, pairs_of, 2) end
  engine.call_many('DEL', nil, changes.gone)
  engine.call_many('MSET', nil, changes.kept, 2)
  for _, gate in ipairs(changes.gates) do
    engine.call_many('HSET', P .. 'H' .. gate.name, gate.noted, 2)
    gate.noted = nil
  end
  write_inside(changes.gates)
end

-- Claim what is plain or limited from the front of these queues, until something else comes first, like a closed gate: append to
-- `claims` as `claim_plain` does; return how many were claimed, and whether there is nothing more to claim.
function engine.claim_limited(session, queues, most, before, claims)
  -- What was settled, or went on, since they were loaded may have changed them.
  gates = {}
  local entries, are_all = first_entries(queues, most)
  local found, limited = limited_entries(entries)
  fetch_limits(limited)
  local changes = { taken = {}, added = {}, gone = {}, kept = {}, gates = {} }
  local notes, number, next_rank, is_over = engine.begin_claims(), 0, math.huge, false
  for _, entry in ipairs(found) do
    is_over = before and entry.rank >= before
    if is_over or entry.rank >= next_rank then break end
    if entry.limit then
      local gate, size = gates[entry.name], size_of_lane(entry)
      if not gate or not size or gate.inside >= entry.most then break end
      local follower, rank
      if size > 1 then
        follower, rank = second_of(entry)
        if not follower then break end
        next_rank = math.min(next_rank, rank)
      end
      leave_limited_lane(entry, size, follower, rank, changes)
      note_at(gate, changes.gates, entry.id, entry.unit)
      gate.inside = gate.inside + 1
    else
      engine.add(changes.taken, 'q' .. entry.shape.queue, entry.id)
    end
    number = number + 1
    local at = 3 * number
    claims[at - 2] = entry.id
    claims[at - 1] = engine.claimed_record(entry.shape, entry.blob, entry.skipped, entry.place_of_rank, session)
    engine.note_claim(notes, entry.id, claims[at - 1], entry.shape.queue)
  end
  if number > 0 then
    write_changes(changes)
    local calls = engine.write_claims(session, notes)
    for place = 1, number do claims[3 * place] = calls[place] or '' end
  end
  return number, is_over or number == most or (are_all and 2 * number == #entries and next_rank == math.huge)
end
