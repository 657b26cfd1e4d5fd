-- Which queues a claim looks into.

-- The queues to claim from: those asked for, or all of Python's, without the paused ones and the empty ones.
function engine.open_queues(wanted)
  local found, seen = {}, {}
  for _, queue in ipairs(#wanted > 0 and wanted or call('SMEMBERS', P .. 'queues')) do
    if not seen[queue] and engine.serves(wanted, queue) and call('SISMEMBER', P .. 'paused', queue) == 0
      and call('EXISTS', P .. 'q' .. queue) == 1 then
      found[#found + 1] = queue
    end
    seen[queue] = true
  end
  return found
end

-- Take the first `number` ids out of the ready index of a queue.
function engine.pop_first(queue, number)
  local ids = call('ZRANGE', P .. 'q' .. queue, 0, number - 1)
  if #ids > 0 then call('ZREMRANGEBYRANK', P .. 'q' .. queue, 0, #ids - 1) end
  return ids
end
