-- exchange: the one round trip of a session: renew, settle, report, tick, claim, fetch messages, in this order.
--
-- ARGV[2]  {session, completions, started, progress, want, queues, claim_new, idle, tick_budget, before, awaited,
--          successes, info}
--          before: only new work of a lower rank, false for any; awaited: only what somebody waits for, and children
--          successes {id, epoch, ran, worker, result} of the completions that come first, end to end
--          info (opaque) what the session tells of itself from now on, false if nothing changed
--          completion {kind, id, epoch, ran, worker, a, b, c}; see shared/settling.lua
--          started {id, epoch, worker, ago}; progress {id, epoch, body}
-- Reply    {verdicts, claims, resumed, inbox, next_due or false, more}
--          verdicts: false if all were accepted; a number, or {number, outcomes, ids of the cycle}; outcome: {id, outcome}
--          claims {id, record, stored call} of each, end to end
--          resumed {id, epoch, timed_out, outcomes}; inbox: packed messages, see shared/telling.lua, shared/ending.lua
-- Refuses  SESSION_GONE, with nothing applied
-- Atomic; O((d + c) log N) for d completions and c claims.

--- include shared/store.lua
--- plain shared/ungated.lua
--- gated shared/gated.lua
--- include shared/waking.lua
--- include shared/renewing.lua
--- include shared/telling.lua
--- include shared/queues.lua
--- include shared/plain.lua
--- gated shared/limited.lua

local is_made = false

-- The unit of work, once something is not plain.
local function make_unit()
  if is_made then return end
  is_made = true
  --- include shared/unit.lua
  --- gated shared/gating.lua
  --- include shared/ending.lua
  --- include shared/sessions.lua
  --- include shared/waiting.lua
  --- include shared/settling.lua
  --- include shared/claiming.lua
  --- gated shared/gated_claiming.lua
  --- include shared/forgetting.lua
  --- include shared/ticking.lua
end

local request = unpack_record(ARGV[2])
local session, completions, started, progress = request[1], request[2], request[3], request[4]
local want, queues, successes = request[5], request[6], request[12]

engine.renew(session)
call('HDEL', P .. 'idle', session)
if request[13] then call('HSET', P .. 's' .. session, 'info', request[13]) end

-- What is left when the first `settled` successes are done with, as completions.
local function completions_left(settled)
  local left = {}
  for at = 5 * settled + 1, #successes, 5 do
    left[#left + 1] = { 'success', successes[at], successes[at + 1], successes[at + 2], successes[at + 3], successes[at + 4] }
  end
  for _, done in ipairs(completions) do left[#left + 1] = done end
  return left
end

-- Apply what the session reports; return a verdict per completion, false if all were accepted.
local function take_reports()
  local settled = #progress == 0 and engine.settle_plain(session, successes) or 0
  local left = completions_left(settled)
  if #left + #started + #progress == 0 then return false end
  make_unit()
  local ids, verdicts = {}, {}
  for _, note in ipairs(progress) do ids[#ids + 1] = note[1] end
  for _, done in ipairs(left) do ids[#ids + 1] = done[2] end
  for _, note in ipairs(started) do ids[#ids + 1] = note[1] end
  engine.fetch(ids)
  if engine.fetch_gating then engine.fetch_gating(ids) end
  for _, note in ipairs(progress) do
    if engine.owned_record(session, note[1], note[2]) then call('SET', P .. 'g' .. note[1], note[3]) end
  end
  for place = 1, settled do verdicts[place] = VERDICT_ACCEPTED end
  for place, done in ipairs(left) do verdicts[settled + place] = engine.settle(session, done) end
  for _, note in ipairs(started) do engine.note_started(session, note) end
  engine.flush()
  return verdicts
end

-- The moment of the first entry of an index of instants.
local function first_moment(index)
  return tonumber(call('ZRANGE', P .. index, 0, 0, 'WITHSCORES')[2] or math.huge)
end

-- Do what is due; return whether a budget ran out.
local function tick(budget)
  local first = math.min(first_moment('t'), first_moment('l'), first_moment('e'))
  if engine.is_gated then first = math.min(first, first_moment('gates:timers'), first_moment('gates:rates')) end
  if first > now then return budget <= 0 end
  make_unit()
  local _, more = engine.tick(budget)
  return more
end

local function resume()
  if want <= 0 or call('EXISTS', P .. 'r' .. session) == 0 then return {} end
  make_unit()
  return (engine.resume_gated or engine.claim_resumable)(session, want)
end

-- As `claim`, where there are tokens of lanes: from the front what shared/limited.lua knows of, then the rest.
local function claim_gated(open, most, before, awaited)
  local claims, number, is_over = {}, 0, false
  if not awaited then number, is_over = engine.claim_limited(session, open, most, before, claims) end
  -- A token woke only the session that claims it: if there is more in its lane, one more is woken.
  if is_over and (number < most or call('HLEN', P .. 'idle') == 0) then return claims, number, 0 end
  make_unit()
  engine.begin_anew()
  if is_over then
    engine.wake_another(queues)
    return claims, number, 0
  end
  local others, more, looked = engine.claim_gated(session, queues, most - number, before, awaited)
  for _, each in ipairs(others) do claims[#claims + 1] = each end
  return claims, number + more, looked
end

-- Hand up to `most` READY invocations of the queues to the session, by (rank, id); only those of a rank below `before`
-- unless that is false, and only awaited ones if that is asked for; return them, how many they are, and how many closed
-- gates were met.
local function claim(most, before, awaited)
  local claims, number = {}, 0
  local open, has_tokens = {}, false
  if most > 0 then open, has_tokens = engine.open_queues(queues) end
  if has_tokens or (awaited and engine.is_gated and not engine.is_mending) then return claim_gated(open, most, before, awaited) end
  while #open > 0 and number < most do
    local ids
    if #open == 1 and not before and not awaited then
      ids = engine.pop_first(open[1], most - number)
    else
      make_unit()
      ids = engine.pop_ready(open, before, awaited, most - number)
    end
    if #ids == 0 then break end
    local claimed, others = engine.claim_plain(session, ids, claims)
    number = number + claimed
    if #others > 0 then
      make_unit()
      number = number + engine.claim_others(session, others, claims)
    end
  end
  return claims, number, 0
end

local verdicts = take_reports()
local more = tick(request[9])
local resumed = resume()
local claims, claimed, looked = {}, 0, 0
if request[7] then claims, claimed, looked = claim(want - #resumed, request[10], request[11]) end
engine.wake()
if request[8] and #resumed + claimed < want then call('HSET', P .. 'idle', session, pack(queues)) end

local inbox = call('LRANGE', P .. 'x' .. session, 0, -1)
if #inbox > 0 then call('DEL', P .. 'x' .. session) end
engine.ring_bells()
local next_due = math.min(first_moment('t'), first_moment('l'))
if engine.is_gated then next_due = math.min(next_due, first_moment('gates:timers')) end
return pack({ verdicts, claims, resumed, inbox, next_due < math.huge and math.max(0, next_due - now),
  more or looked >= MOST_LOOKS })
