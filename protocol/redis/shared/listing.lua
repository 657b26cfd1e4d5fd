-- Sessions as queries see them.

-- {number, info, opened, expires, ended or false, owned, running}
function engine.session_row(number)
  local fields = call('HMGET', P .. 's' .. number, 'info', 'opened', 'expires', 'ended')
  if not fields[1] then return nil end
  local owned = call('SMEMBERS', P .. 'w' .. number)
  engine.fetch(owned)
  local running = 0
  for _, id in ipairs(owned) do
    local r = engine.record(id)
    if r and r[C_STATE] == OWNED then running = running + 1 end
  end
  local expires = call('ZSCORE', P .. 'l', number) or fields[3]
  return {
    tonumber(number), fields[1], tonumber(fields[2]), tonumber(expires), fields[4] and tonumber(fields[4]), #owned,
    running,
  }
end

function engine.live_sessions()
  local numbers = call('ZRANGE', P .. 'l', 0, -1)
  for place = 1, #numbers do numbers[place] = tonumber(numbers[place]) end
  table.sort(numbers)
  return numbers
end

-- The live runners that claim from a queue, by number.
function engine.listeners(queue)
  local found = {}
  for _, number in ipairs(engine.live_sessions()) do
    local fields = call('HMGET', P .. 's' .. number, 'runner', 'queues')
    if fields[1] == '1' and engine.serves(unpack_record(fields[2]), queue) then found[#found + 1] = number end
  end
  return found
end
