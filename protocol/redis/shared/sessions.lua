-- Sessions: what becomes of their work when they end. Watches of one that has ended count no more: see telling.lua.

function engine.hand_back(r, reason)
  engine.write_attempt(r, reason, '', '')
  r[C_ATTEMPT] = r[C_ATTEMPT] - 1
  engine.touch(r)
  engine.give_back(r, reason, 0)
end

-- End a session: a closed one hands back uncounted, for a lost one what it ran counts as a crash.
function engine.end_session(session, is_lost)
  local owned = engine.sorted_ids(call('SMEMBERS', P .. 'w' .. session))
  engine.fetch(owned)
  for _, id in ipairs(owned) do
    local r = engine.record(id)
    if r then
      if not is_lost then
        engine.hand_back(r, REASON_RELEASED)
      elseif r[C_STATE] ~= OWNED then
        engine.hand_back(r, REASON_RUNNER_LOST_RUNNING)
      elseif not r[C_STARTED_AT] then
        engine.hand_back(r, REASON_RUNNER_LOST_PENDING)
      else
        engine.crash(r, REASON_RUNNER_LOST_RUNNING, 'runner lost')
      end
    end
  end
  engine.flush()
  local expires = call('ZSCORE', P .. 'l', session) or now
  call('HSET', P .. 's' .. session, 'ended', now, 'expires', expires)
  call('ZADD', P .. 'ended', now, session)
  call('ZREM', P .. 'l', session)
  call('HDEL', P .. 'idle', session)
  call('DEL', P .. 'x' .. session, P .. 'w' .. session, P .. 'r' .. session)
end
