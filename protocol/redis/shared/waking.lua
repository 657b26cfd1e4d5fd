-- Who is woken: sessions that sleep register in `idle`, and are rung once, when there is something for them.

function engine.serves(queues, queue)
  if #queues == 0 then return not string.find(queue, ':', 1, true) end
  for _, each in ipairs(queues) do
    if each == queue then return true end
  end
  return false
end

-- The sleeping sessions in order: {number, queues}.
function engine.sleepers()
  local found, raw = {}, call('HGETALL', P .. 'idle')
  for place = 1, #raw, 2 do
    found[#found + 1] = { tonumber(raw[place]), unpack_record(raw[place + 1]) }
  end
  table.sort(found, function(one, other) return one[1] < other[1] end)
  return found
end

function engine.rouse(session)
  call('HDEL', P .. 'idle', session)
  engine.ring(session)
end

-- Wake one sleeper for each piece of work that is still there, and any one for an earlier timer.
function engine.wake()
  if not engine.earliest and next(engine.woken) == nil then return end
  if call('HLEN', P .. 'idle') == 0 then return end
  local asleep = engine.sleepers()
  for queue, number in pairs(engine.woken) do
    local there = call('ZCARD', P .. 'q' .. queue)
    if engine.is_gated then there = there + call('ZCARD', P .. 'A' .. queue) end
    number = math.min(number, there)
    local place = 1
    while number > 0 and place <= #asleep do
      if engine.serves(asleep[place][2], queue) then
        engine.rouse(asleep[place][1])
        table.remove(asleep, place)
        number = number - 1
      else
        place = place + 1
      end
    end
  end
  if engine.earliest and asleep[1] then engine.rouse(asleep[1][1]) end
end

-- One element per bell in the list that its process blocks on; one that is there already will do.
function engine.ring_bells()
  for _, session in ipairs(engine.rung) do
    local address = call('HGET', P .. 's' .. session, 'bell')
    local process, number = string.match(address or '', '^(.+)/(%d+)$')
    if process then
      local key = P .. 'bell:' .. process
      if not call('LPOS', key, number) then
        call('RPUSH', key, number)
        call('EXPIRE', key, 60)
      end
    end
  end
end

-- The end of every operation that writes through the unit of work.
function engine.finish()
  engine.flush()
  engine.wake()
  engine.ring_bells()
end
