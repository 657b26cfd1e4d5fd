-- What owners report of their runs: begins, ends, waits, progress.

function engine.owned_record(session, id, epoch)
  local r = engine.record(id)
  return r and r[C_OWNER] == session and r[C_EPOCH] == epoch and r
end

local SETTLE = {
  success = function(r, session, result)
    engine.finish_record(r, STATUS_SUCCESS, result, '', session)
  end,
  failure = function(r, session, fault, reason)
    engine.finish_record(r, STATUS_FAILED, fault, reason, session)
  end,
  cancelled = function(r, session, detail)
    engine.finish_record(r, STATUS_CANCELLED, '', detail, session)
  end,
  retry = function(r, _, fault, delay, reason)
    engine.write_attempt(r, reason, fault, '')
    r[C_EXPIRES_AT] = false
    engine.give_back(r, reason, delay)
  end,
  release = function(r, _, detail, delay)
    engine.write_attempt(r, REASON_RELEASED, '', detail)
    r[C_ATTEMPT] = r[C_ATTEMPT] - 1
    engine.give_back(r, REASON_RELEASED, delay)
  end,
  crash = function(r, _, detail)
    engine.crash(r, REASON_WORKER_CRASHED, detail)
  end,
}

-- What breakers hear of.
local REPORTED = { success = true, failure = true, retry = true, crash = true }

-- Apply one completion {kind, id, epoch, ran, worker, a, b, c} if its sender still owns the invocation.
function engine.settle(session, done)
  local kind, id, epoch = done[1], done[2], done[3]
  local r = engine.owned_record(session, id, epoch)
  if r and kind == 'suspend' then return engine.suspend(r, done[4], done[5], done[6], done[7], done[8], done[9]) end
  if not r or r[C_STATE] ~= OWNED then
    local o = engine.outcome(id)
    return o and o[O_SESSION] == session and o[O_EPOCH] == epoch and VERDICT_ALREADY or VERDICT_STALE
  end
  engine.note_run(r, done[4], done[5])
  if r[C_GATED] and REPORTED[kind] then engine.report(r, kind ~= 'success') end
  SETTLE[kind](r, session, done[6], done[7], done[8])
  return VERDICT_ACCEPTED
end

-- {id, epoch, worker, ago}: a stale report changes nothing.
function engine.note_started(session, started)
  local r = engine.owned_record(session, started[1], started[2])
  if not r or r[C_STATE] ~= OWNED or r[C_STARTED_AT] then return end
  r[C_STARTED_AT] = math.max(r[C_CLAIMED_AT] or now, now - started[4])
  r[C_WORKER], r[C_EXPIRES_AT] = started[3], false
  engine.touch(r)
end
