-- What purge and retention take away.

--- include shared/counting.lua

-- The parent in the stored form of a call: see submit.lua.
function engine.parent_of(stored)
  if stored and string.byte(stored, 1) == 1 then return string.sub(stored, 2, 17) end
  return nil
end

-- Drop everything that is known of a final invocation.
function engine.forget(id, o)
  local parent = engine.parent_of(call('GET', P .. 'c' .. id))
  -- The first write takes memory away, so that the server allows the rest when it has none left.
  call('UNLINK', P .. 'c' .. id, P .. 'o' .. id, P .. 'a' .. id, P .. 'g' .. id)
  if parent then call('SREM', P .. 'h' .. parent, id) end
  if o[O_KEY] ~= '' then engine.free_key(id, o[O_KEY]) end
  engine.count_call(o[O_REGISTERED_AT], -1)
  engine.drop_outcome(id, o)
  call('ZREM', P .. 'all', id)
end

function engine.oldest_call()
  local oldest
  for _, hour in ipairs(call('HKEYS', P .. 'hours')) do
    local moment = tonumber(hour) * HOUR
    if not oldest or moment < oldest then oldest = moment end
  end
  return oldest or now
end

-- What was last written, or ended, before this instant is named by no known invocation.
function engine.unnamed_before()
  return string.format('%.0f', engine.oldest_call() - UNNAMED_MARGIN)
end

-- Drop what no known invocation can name: client data that was last written, and sessions that ended, well before the
-- oldest of them was submitted.
function engine.drop_unnamed(budget)
  local limit = '(' .. engine.unnamed_before()
  for _, session in ipairs(call('ZRANGEBYSCORE', P .. 'ended', '-inf', limit, 'LIMIT', 0, budget)) do
    call('UNLINK', P .. 's' .. session)
    call('ZREM', P .. 'ended', session)
  end
  local old = call('ZRANGEBYSCORE', P .. 'data', '-inf', limit, 'LIMIT', 0, budget)
  for _, key in ipairs(old) do
    call('UNLINK', P .. 'b' .. key)
    call('ZREM', P .. 'data', key)
  end
end
