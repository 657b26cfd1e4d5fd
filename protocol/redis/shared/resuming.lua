-- Resumable invocations before gates: who waited takes back the units it gave up before it goes on.

-- Give a resumable invocation back the units it gave up, or park it before the first gate that is closed.
function engine.may_go_on(r)
  local missing = {}
  for _, gate in ipairs(r[C_GATED][G_GATES]) do
    if engine.misses(r, gate) then missing[#missing + 1] = gate end
  end
  local lenders = #missing > 0 and engine.lenders_of(r) or {}
  for _, gate in ipairs(missing) do
    if engine.is_stopped(r, gate, lenders) then
      engine.park_resume(r, gate[GATE_NAME], lenders)
      return false
    end
  end
  engine.pass(r, missing, lenders)
  engine.end_resume_trial(r)
  return true
end

function engine.park_resume(r, name, lenders)
  local gated = r[C_GATED]
  gated[G_PARKED], gated[G_LENDERS] = name, #lenders > 0 and lenders
  engine.touch(r)
  call('ZADD', P .. 'R' .. name, r[C_RANK], r.id)
  engine.count_resumes(name, 1)
  engine.note_kin('r' .. r.id, name, lenders)
  engine.end_resume_trial(r)
end

function engine.let_go_on(r, trial)
  engine.unpark_resume(r)
  r[C_GATED][G_TRIAL] = trial
  engine.touch(r)
end

function engine.unpark_resume(r)
  local gated = r[C_GATED]
  local name = gated[G_PARKED]
  if not name then return end
  gated[G_PARKED] = false
  engine.touch(r)
  call('ZREM', P .. 'R' .. name, r.id)
  engine.count_resumes(name, -1)
  engine.forget_kin('r' .. r.id, name, gated[G_LENDERS] or {})
end

function engine.end_resume_trial(r)
  local trial = r[C_GATED][G_TRIAL]
  if not trial then return end
  r[C_GATED][G_TRIAL] = false
  engine.touch(r)
  engine.keep_unit_for(engine.gate(trial), r.id, false)
  engine.activate(trial)
end
