-- Keys, time and packing: what every operation needs.
--
-- KEYS[1] is the prefix `{app}:` of every key. ARGV[1] is '', or the time in microseconds for tests, or 'moving' for the
-- operations of a move, which no seal stops; 'moving' and a text: only under the seal of this text.
--   c<id> call   i<id> control   o<id> outcome   a<id> attempts   g<id> progress   h<id> children
--   p<id> whom it waits for   d<id> who waits for it   v<id> sessions that watch it   k<key> deduplication
--   q<queue> ready   r<session> resumable   w<session> owned   x<session> inbox   y<session> watched   s<session> session
--   f dead letters   f<queue> those of one queue   t timers   e retention   l live sessions   all ids   idle sleepers   queues used   paused   n counts
--   b<key> client data   data when it was written   hours when calls were submitted   broken set aside   meta
--   sealed the seal of `meta` once more, for plain commands, which ask for it along

redis.replicate_commands()

local call = redis.call
local pack, unpack_record = cmsgpack.pack, cmsgpack.unpack
local P = KEYS[1]
local engine = {}

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- The client maps the code to an error. Only called while nothing is written yet.
function engine.refuse(code, detail)
  error('PYNENC ' .. code .. ' ' .. detail .. ';')
end

local identity = call('HMGET', P .. 'meta', 'schema', 'sealed')
if identity[1] and tonumber(identity[1]) > SCHEMA then engine.refuse('NEWER_SCHEMA', identity[1]) end
if identity[2] or ARGV[1] ~= '' then
  local mark = string.match(ARGV[1], '^moving ?(.*)$')
  if not mark and identity[2] then engine.refuse('SEALED', identity[2]) end
  if mark and mark ~= '' and mark ~= identity[2] then engine.refuse('OVERTAKEN', mark) end
end

-- The first write of an app says which schema its keys have.
function engine.claim_schema()
  if not identity[1] then call('HSET', P .. 'meta', 'schema', SCHEMA) end
end

-- A command with any number of arguments, in pieces that fit the stack of Lua.
function engine.call_many(command, key, arguments, group)
  local size = #arguments
  if size == 0 then return end
  if size <= 4000 then
    if key then return call(command, key, unpack(arguments)) end
    return call(command, unpack(arguments))
  end
  local step = 4000 - 4000 % (group or 1)
  for first = 1, size, step do
    local last = math.min(first + step - 1, size)
    if key then
      call(command, key, unpack(arguments, first, last))
    else
      call(command, unpack(arguments, first, last))
    end
  end
end

-- The values of many string keys, false where there is none.
function engine.get_many(keys)
  local size = #keys
  if size == 0 then return {} end
  if size <= 4000 then return call('MGET', unpack(keys)) end
  local values = {}
  for first = 1, size, 4000 do
    local some = call('MGET', unpack(keys, first, math.min(first + 3999, size)))
    for place = 1, #some do values[first + place - 1] = some[place] end
  end
  return values
end

-- The array of `size` or more fields that was stored for an invocation. What is none is set aside and counts as unknown, so that
-- one damaged record does not stop a queue; `verify` names it.
function engine.decode(id, blob, size)
  local ok, value = pcall(unpack_record, blob)
  if ok and type(value) == 'table' and #value >= size then return value end
  call('SADD', P .. 'broken', id)
  return false
end

-- Byte order: the comparison of Lua follows the locale of the server.
function engine.before(one, other)
  local shorter = math.min(#one, #other)
  for place = 1, shorter do
    local a, b = string.byte(one, place), string.byte(other, place)
    if a ~= b then return a < b end
  end
  return #one < #other
end

function engine.sorted_ids(ids)
  table.sort(ids, engine.before)
  return ids
end

function engine.id_text(id)
  local hex = string.gsub(id, '.', function(c) return string.format('%02x', string.byte(c)) end)
  if #id ~= 16 then return hex end
  return string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9, 12) .. '-' .. string.sub(hex, 13, 16) .. '-'
    .. string.sub(hex, 17, 20) .. '-' .. string.sub(hex, 21)
end

function engine.is_flagged(flags, flag)
  return flags % (flag * 2) >= flag
end

-- Ids laid end to end, apart again.
function engine.split_ids(text)
  local ids = {}
  for first = 1, #text, 16 do ids[#ids + 1] = string.sub(text, first, first + 15) end
  return ids
end

function engine.distinct(ids)
  local seen, kept = {}, {}
  for _, id in ipairs(ids) do
    if not seen[id] then
      seen[id] = true
      kept[#kept + 1] = id
    end
  end
  return kept
end
