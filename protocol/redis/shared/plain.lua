-- The way of plain invocations, byte by byte: what most of them are at each of their steps is known without decoding.
--
-- Plain is a record that ends before its flags: no key, no times of its own, nobody waits for it. Such a record is
-- some bytes, the nine of its rank, and some more; those before and behind are the same for all that were submitted,
-- and claimed, together, so they are decoded once (`shape_of`). What is not plain is the business of the unit of work,
-- which does the same, and which is only made when it is needed: its functions are most of the time of a short call.

--- include shared/texts.lua

local PLAIN_SIZE = C_WORKER
local shapes = {}

-- What the bytes around the rank of an array mean, false if it is not exactly that of a plain record.
function engine.read_shape(blob)
  local ok, r = pcall(unpack_record, blob)
  if not ok or type(r) ~= 'table' or #r > PLAIN_SIZE or #r < C_REQUIRED or pack(r) ~= blob then return false end
  for place, value in ipairs(r) do
    local kind = place == C_QUEUE and 'string' or 'number'
    local may_lack = place == C_RETENTION or place > C_REQUIRED
    if type(value) ~= kind and not (may_lack and value == false) then return false end
  end
  local retention = r[C_RETENTION]
  local expires = retention and now + retention
  return {
    is_ready = r[C_STATE] == READY and (r[C_OWNER] or 0) == 0, is_owned = r[C_STATE] == OWNED, r = r,
    epoch = r[C_EPOCH] or 0, owner = r[C_OWNER] or 0, queue = r[C_QUEUE], expires = expires,
    expires_text = expires and string.format('%.0f', expires),
  }
end

-- What the array means that follows `skipped` bytes, and where its rank is; false if it is no plain one: the queue's name is
-- short, the rank a number of nine bytes.
function engine.shape_of(blob, skipped)
  local length = blob and string.byte(blob, skipped + 4)
  if not length or length < 160 or length > 191 then return false end
  local rank = skipped + length - 155
  if string.byte(blob, rank) ~= 207 then return false end
  local before, behind = string.sub(blob, skipped + 1, rank - 1), string.sub(blob, rank + 9)
  local alike = shapes[before]
  if not alike then
    alike = {}
    shapes[before] = alike
  end
  local shape = alike[behind]
  if shape == nil then
    shape = engine.read_shape(before .. string.sub(blob, rank, rank + 8) .. behind)
    alike[behind] = shape
  end
  return shape, rank
end

-- The record of a new invocation but for its rank: what stands before it, and behind.
function engine.fresh_record(queue, retention, max_crashes)
  return '\151' .. pack(READY, REASON_NEW, queue), pack(now, retention, max_crashes)
end

-- The record once `session` has claimed it.
function engine.claimed_record(shape, blob, skipped, rank, session)
  if not shape.claimed then
    local r = shape.r
    shape.claimed_before = '\155' .. pack(OWNED, r[C_REASON], r[C_QUEUE])
    shape.claimed = pack(r[C_REGISTERED_AT], r[C_RETENTION], r[C_MAX_CRASHES], shape.epoch + 1, (r[C_ATTEMPT] or 0) + 1,
      session, now)
  end
  local number = string.sub(blob, rank, rank + 8)
  if skipped == 0 then return shape.claimed_before .. number .. shape.claimed end
  return string.sub(blob, 1, skipped) .. shape.claimed_before .. number .. shape.claimed
end

-- What is before and behind the moment of the start in an outcome of such a run, after status and result.
function engine.success_ends(shape, blob, rank, worker)
  local r = shape.r
  local high, middle, low = string.byte(blob, rank + 1, rank + 3)
  local band = high * 4096 + middle * 16 + math.floor(low / 16)
  local ends = shape[band * 2 ^ 32 + worker]
  if not ends then
    ends = {
      pack('', r[C_ATTEMPT], 0, shape.epoch, shape.owner, worker, r[C_REGISTERED_AT], r[C_CLAIMED_AT]),
      pack(now, shape.expires, band, r[C_RETENTION], r[C_MAX_CRASHES], '', 0, r[C_QUEUE]),
    }
    shape[band * 2 ^ 32 + worker] = ends
  end
  return ends
end

-- The outcome of a body that returned, joined in one step: each string that is made costs a walk through all its bytes.
local SUCCEEDED = '\220\0\19' .. pack(STATUS_SUCCESS)
function engine.success_of(shape, blob, rank, ran, worker, result)
  local r = shape.r
  local claimed, started = r[C_CLAIMED_AT], r[C_STARTED_AT]
  if not started and ran > 0 then started = math.max(claimed or now, now - ran) end
  local ends = engine.success_ends(shape, blob, rank, worker ~= 0 and worker or r[C_WORKER] or 0)
  return SUCCEEDED .. engine.text_head(#result) .. result .. ends[1] .. pack(started or false) .. ends[2]
end

-- Settle successes {id, epoch, ran, worker, result, ...} of plain runs from the front; return how many were.
function engine.settle_plain(session, done)
  local ids, control, outcome = {}, P .. 'i', P .. 'o'
  local keys = {}
  for place = 1, #done, 5 do
    local id = done[place]
    ids[#ids + 1] = id
    keys[#keys + 1] = control .. id
  end
  local blobs, seen, counted = engine.get_many(keys), {}, {}
  local left = engine.limits_left and engine.limits_left(blobs)
  local written, expiring, settled = {}, {}, 0
  for place, id in ipairs(ids) do
    local blob, at, limit = blobs[place], place * 5, left and left[place]
    local shape, rank = engine.shape_of(blob, limit and limit.skipped or 0)
    if not shape or not shape.is_owned or shape.owner ~= session or shape.epoch ~= done[at - 3] or seen[id] then break end
    if limit and not limit.gate then break end
    seen[id] = true
    written[2 * place - 1] = outcome .. id
    written[2 * place] = engine.success_of(shape, blob, rank, done[at - 2], done[at - 1], done[at])
    if shape.expires then
      expiring[#expiring + 1] = shape.expires_text
      expiring[#expiring + 1] = id
    end
    counted[shape.queue] = (counted[shape.queue] or 0) - 1
    settled = place
  end
  if settled == 0 then return 0 end
  for place = #ids, settled + 1, -1 do ids[place], keys[place] = nil, nil end
  -- What takes memory away comes first, so that the server allows the rest when it has none left.
  engine.call_many('DEL', nil, keys)
  engine.call_many('SREM', P .. 'w' .. session, ids)
  engine.call_many('MSET', nil, written, 2)
  engine.call_many('ZADD', P .. 'e', expiring, 2)
  if left then engine.leave_limits(ids, left) end
  for queue, number in pairs(counted) do call('HINCRBY', P .. 'n', 'o' .. queue, number) end
  engine.tell_watchers(ids, function(place) return written[2 * place] end)
  return settled
end

-- Claims that are not written yet.
function engine.begin_claims()
  return { number = 0, kept = {}, owned = {}, wanted = {}, counted = {} }
end

-- Note the claim of an invocation of a queue, whose record is `claimed` from now on.
function engine.note_claim(notes, id, claimed, queue)
  local counted, place = notes.counted, notes.number + 1
  notes.number = place
  notes.kept[2 * place - 1], notes.kept[2 * place] = P .. 'i' .. id, claimed
  notes.owned[place], notes.wanted[place] = id, P .. 'c' .. id
  counted[queue] = (counted[queue] or 0) + 1
end

-- Write claims; return the stored calls in order.
function engine.write_claims(session, notes)
  engine.call_many('MSET', nil, notes.kept, 2)
  engine.call_many('SADD', P .. 'w' .. session, notes.owned)
  for queue, more in pairs(notes.counted) do call('HINCRBY', P .. 'n', 'o' .. queue, more) end
  return engine.get_many(notes.wanted)
end

-- Claim those of `ids`, which were taken out of their ready index, that are plain: append to `claims` {id, record, call}
-- of each, end to end, without the last two for the others; return how many were claimed, and the others.
function engine.claim_plain(session, ids, claims)
  local keys, others, first, number = {}, {}, #claims, 0
  for place, id in ipairs(ids) do keys[place] = P .. 'i' .. id end
  local blobs, notes = engine.get_many(keys), engine.begin_claims()
  for place, id in ipairs(ids) do
    local blob, at = blobs[place], first + 3 * place
    local shape, rank = engine.shape_of(blob, 0)
    claims[at - 2], claims[at - 1], claims[at] = id, false, false
    if shape and shape.is_ready then
      number = number + 1
      local claimed = engine.claimed_record(shape, blob, 0, rank, session)
      engine.note_claim(notes, id, claimed, shape.queue)
      claims[at - 1] = claimed
    else
      others[#others + 1] = id
    end
  end
  if number == 0 then return 0, others end
  local stored, place = engine.write_claims(session, notes), 0
  for at = first + 2, #claims, 3 do
    if claims[at] then
      place = place + 1
      claims[at + 1] = stored[place] or ''
    end
  end
  return number, others
end
