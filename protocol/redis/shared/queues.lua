-- Which queues a claim looks into.

-- The queues to claim from: those asked for, or all of Python's, without the paused ones and the empty ones; and whether
-- tokens of lanes are in one of them.
function engine.open_queues(wanted)
  local found, seen, has_tokens = {}, {}, false
  for _, queue in ipairs(#wanted > 0 and wanted or call('SMEMBERS', P .. 'queues')) do
    if not seen[queue] and engine.serves(wanted, queue) and call('HEXISTS', P .. 'paused', queue) == 0 then
      local is_gated = engine.is_gated and not engine.is_mending and call('EXISTS', P .. 'Q' .. queue) == 1
      has_tokens = has_tokens or is_gated
      if is_gated or call('EXISTS', P .. 'q' .. queue) == 1 then found[#found + 1] = queue end
    end
    seen[queue] = true
  end
  return found, has_tokens
end

-- Take the first `number` ids out of the ready index of a queue.
function engine.pop_first(queue, number)
  local ids = call('ZRANGE', P .. 'q' .. queue, 0, number - 1)
  if #ids > 0 then call('ZREMRANGEBYRANK', P .. 'q' .. queue, 0, #ids - 1) end
  return ids
end
