-- How invocations end, and whom that wakes.

--- include shared/telling.lua

-- Who holds a key, and on which terms: '' for the usual ones, else packed {free again at or false, hash of the
-- arguments, mode, window}.
function engine.holder_of(key)
  local kept = call('GET', P .. 'k' .. key)
  if kept then return string.sub(kept, 1, 16), string.sub(kept, 17) end
end

-- Whether the time is over for which a key was taken.
function engine.is_over(terms)
  if terms == '' then return false end
  local over = unpack_record(terms)[1]
  return over and over <= now
end

-- Let an invocation hold a key; `wish` is {mode, hash of the arguments, window} where those are not the usual ones.
function engine.hold_key(key, id, wish)
  local terms = ''
  if wish then terms = pack({ wish[4] and now + wish[3], wish[2], wish[1], wish[3] }) end
  call('SET', P .. 'k' .. key, id .. terms)
end

function engine.free_key(id, key)
  if engine.holder_of(key) == id then call('DEL', P .. 'k' .. key) end
end

function engine.drop_edges(r)
  if not engine.is_flagged(r[C_FLAGS], HAS_EDGES) then return end
  for _, waited in ipairs(call('SMEMBERS', P .. 'p' .. r.id)) do call('SREM', P .. 'd' .. waited, r.id) end
  call('DEL', P .. 'p' .. r.id)
  r[C_FLAGS] = r[C_FLAGS] - HAS_EDGES
  engine.touch(r)
end

function engine.flag(r, bit)
  if not engine.is_flagged(r[C_FLAGS], bit) then
    r[C_FLAGS] = r[C_FLAGS] + bit
    engine.touch(r)
  end
end

-- Note that `r` waits for the live record `waited`.
function engine.add_edge(r, waited)
  call('SADD', P .. 'p' .. r.id, waited.id)
  call('SADD', P .. 'd' .. waited.id, r.id)
  engine.flag(r, HAS_EDGES)
  engine.flag(waited, HAS_WAITERS)
end

function engine.resume(r, timed_out)
  engine.drop_edges(r)
  r[C_NEED_LEFT], r[C_WAIT_UNTIL], r[C_TIMED_OUT] = 0, false, timed_out
  r[C_STATE], r[C_REASON] = READY, REASON_RESUMED
  engine.touch(r)
end

-- What `r` waited for is there.
function engine.met(r)
  engine.drop_edges(r)
  if r[C_STATE] == SUSPENDED then
    engine.resume(r, false)
  elseif r[C_NOT_BEFORE] then
    r[C_REASON] = REASON_DELAYED
  else
    r[C_STATE], r[C_REASON] = READY, REASON_NEW
    engine.ready(r)
  end
  engine.touch(r)
end

-- Whether somebody ended as one that comes after it wants.
function engine.counts(policy, status)
  return policy == AFTER_ALL_DONE or status == STATUS_SUCCESS
end

-- How one ends that cannot run any more because of those it comes after, and the reason.
function engine.fallen_status(policy)
  return policy == AFTER_SUCCEEDED_OR_FAIL and STATUS_FAILED or STATUS_CANCELLED
end

function engine.why_broken(dependency, status)
  return 'dependency ' .. engine.id_text(dependency) .. ' ended ' .. status
end

-- Take the edges to an ended invocation away; return the waiters that end with it, by id.
function engine.release_waiters(id, status)
  local fallen = {}
  local waiters = engine.sorted_ids(call('SMEMBERS', P .. 'd' .. id))
  call('DEL', P .. 'd' .. id)
  for _, waiter in ipairs(waiters) do
    call('SREM', P .. 'p' .. waiter, id)
    local r = engine.record(waiter)
    if r then
      engine.touch(r)
      if r[C_STATE] == BLOCKED and not engine.counts(r[C_AFTER_POLICY], status) then
        if r[C_NEED_LEFT] > call('SCARD', P .. 'p' .. waiter) then
          engine.drop_edges(r)
          fallen[#fallen + 1] = r
        end
      else
        r[C_NEED_LEFT] = r[C_NEED_LEFT] - 1
        if r[C_NEED_LEFT] == 0 then engine.met(r) end
      end
    end
  end
  return fallen
end

function engine.write_outcome(r, status, payload, reason, session, worker)
  local id = r.id
  local retention = r[C_RETENTION]
  local o = {
    status, payload, reason, r[C_ATTEMPT], r[C_CRASHES], r[C_EPOCH], session, worker,
    r[C_REGISTERED_AT], r[C_CLAIMED_AT], r[C_STARTED_AT], now, retention and now + retention,
    math.floor(r[C_RANK] / BAND_UNIT), retention, r[C_MAX_CRASHES], r[C_KEY], r[C_KEY_PHASE], r[C_QUEUE],
  }
  engine.keep_outcome(id, o)
  engine.drop_edges(r)
  if r[C_GATED] then engine.withdraw(r) end
  r.gone = true
  records[id] = false
  engine.touch(r)
  if r[C_GATED] then engine.give_up(r, false) end
  local phase = r[C_KEY_PHASE]
  if r[C_KEY] ~= '' and (phase <= KEY_UNTIL_FINAL or (phase == KEY_WHILE_GOOD and status ~= STATUS_SUCCESS)) then
    engine.free_key(id, r[C_KEY])
  end
  engine.tell_watchers({ id }, function() return pack(o) end)
end

-- Write the outcome of `r` and wake whoever waited for it; in turn end what depended on its success.
function engine.finish_record(r, status, payload, reason, session)
  engine.write_outcome(r, status, payload, reason, session, r[C_WORKER])
  if not engine.is_flagged(r[C_FLAGS], HAS_WAITERS) then return end
  local queue, place = { { r, status } }, 1
  while queue[place] do
    local over, how = queue[place][1], queue[place][2]
    if engine.is_flagged(over[C_FLAGS], HAS_WAITERS) then
      for _, waiter in ipairs(engine.release_waiters(over.id, how)) do
        local fate = engine.fallen_status(waiter[C_AFTER_POLICY])
        engine.write_outcome(waiter, fate, '', engine.why_broken(over.id, how), 0, waiter[C_WORKER])
        queue[#queue + 1] = { waiter, fate }
      end
    end
    place = place + 1
  end
end

function engine.write_attempt(r, reason, fault, detail)
  call('RPUSH', P .. 'a' .. r.id, pack({
    r[C_ATTEMPT], r[C_EPOCH], reason, r[C_OWNER], r[C_WORKER], r[C_CLAIMED_AT] or r[C_REGISTERED_AT], r[C_STARTED_AT], now,
    fault, detail, reason == REASON_WAITED and r[C_SUSPENDED_AT],
  }))
end

-- Note when and where a body began that its owner reports on now; what was reported before stays.
function engine.note_run(r, ran, worker)
  if not r[C_STARTED_AT] and ran > 0 then r[C_STARTED_AT] = math.max(r[C_CLAIMED_AT] or now, now - ran) end
  if worker ~= 0 then r[C_WORKER] = worker end
  engine.touch(r)
end

-- Make an invocation that lost its owner claimable again, now or after `delay`.
function engine.put_back(r, reason, delay)
  engine.drop_edges(r)
  if r[C_GATED] then engine.withdraw(r) end
  r[C_OWNER], r[C_NEED_LEFT], r[C_WAITS], r[C_WORKER] = 0, 0, '', 0
  r[C_CLAIMED_AT], r[C_STARTED_AT], r[C_SUSPENDED_AT], r[C_WAIT_UNTIL] = false, false, false, false
  r[C_REASON] = reason
  if delay > 0 then
    r[C_STATE], r[C_NOT_BEFORE] = BLOCKED, now + delay
  else
    r[C_STATE], r[C_NOT_BEFORE] = READY, false
    engine.ready(r)
  end
  engine.touch(r)
  -- In its lane first: if it comes before the others, it is also the first that is let out.
  if r[C_GATED] then engine.give_up(r, delay > 0) end
end

-- Claimable again, or over if somebody asked for that meanwhile.
function engine.give_back(r, reason, delay)
  if r[C_CANCEL_REQUESTED] then
    engine.finish_record(r, STATUS_CANCELLED, '', 'cancelled while running', 0)
  else
    engine.put_back(r, reason, delay)
  end
end

-- Take a run that died with its worker into account, and run it again or give up.
function engine.crash(r, reason, detail)
  engine.write_attempt(r, reason, '', detail)
  r[C_ATTEMPT], r[C_CRASHES], r[C_EXPIRES_AT] = r[C_ATTEMPT] - 1, r[C_CRASHES] + 1, false
  engine.touch(r)
  if r[C_CRASHES] > r[C_MAX_CRASHES] and not r[C_CANCEL_REQUESTED] then
    engine.drop_edges(r)
    engine.finish_record(r, STATUS_FAILED, '', 'worker died ' .. r[C_CRASHES] .. ' times, last: ' .. detail, 0)
  else
    engine.give_back(r, reason, 0)
  end
end

function engine.notify_cancel(r, detail)
  if r[C_OWNER] ~= 0 then
    call('RPUSH', P .. 'x' .. r[C_OWNER], pack({ NOTICE_CANCEL, r.id, r[C_EPOCH], detail }))
    engine.ring(r[C_OWNER])
  end
end

function engine.expire(r)
  engine.finish_record(r, STATUS_EXPIRED, '', 'it did not start in time', 0)
end
