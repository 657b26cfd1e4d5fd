-- Keys, time and packing: what every operation needs.
--
-- KEYS[1] is the prefix `{app}:` of every key. ARGV[1] is '', or the time in microseconds for tests, or 'moving' for the
-- operations of a move, which no seal stops; 'moving' and a text: only under the seal of this text.
--   c<id> call   i<id> control   o<id> outcome   a<id> attempts   g<id> progress   h<id> children
--   p<id> whom it waits for   d<id> who waits for it   v id -> sessions that watch it   k<key> deduplication
--   q<queue> ready   r<session> resumable   w<session> owned   x<session> inbox   s<session> session
--   z dead letters   z<queue> those of one queue
--   t timers   e retention   l live sessions   all ids   idle sleepers   queues used   paused   n counts
--   b<key> client data   data when it was written   hours when calls were submitted   broken set aside   meta
--   gates are in shared/gates.lua
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

local identity = call('HMGET', P .. 'meta', 'schema', 'sealed', 'gated', 'mending')
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

-- The first gate of an app tells everybody to take the builds that know of gates.
function engine.claim_gates()
  if not identity[3] then call('HSET', P .. 'meta', 'gated', 1) end
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

-- Append to the list of this name.
function engine.add(lists, key, first, second)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  local size = #list
  list[size + 1] = first
  if second then list[size + 2] = second end
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

-- What `waking.lua` has to do in the end.
engine.woken = {}   -- queue -> new runnable work
engine.rung = {}    -- sessions to ring, in order, and each by its number
engine.earliest = false -- the earliest due time that was added

function engine.ring(session)
  local rung = engine.rung
  local name = 's' .. session
  if not rung[name] then
    rung[name] = true
    rung[#rung + 1] = session
  end
end
