-- Who watches what: the hash `v` has, for each id, the numbers of the sessions that want to hear of its end.

--- include shared/texts.lua

-- The inboxes of those that watch and are alive, by what the hash has.
local inboxes = {}

function engine.inboxes_of(watchers)
  local found = inboxes[watchers]
  if not found then
    found = {}
    for session in string.gmatch(watchers, '%d+') do
      if call('ZSCORE', P .. 'l', session) then found[#found + 1] = session end
    end
    inboxes[watchers] = found
  end
  return found
end

-- What the hash has of each of these ids, false for nothing.
function engine.watchers_of(ids)
  local found = {}
  for first = 1, #ids, 4000 do
    local some = call('HMGET', P .. 'v', unpack(ids, first, math.min(first + 3999, #ids)))
    for place = 1, #some do found[first + place - 1] = some[place] end
  end
  return found
end

-- The packed {NOTICE_FINISHED, id, ...} up to the id, which has 16 bytes.
local FINISHED = '\147' .. pack(NOTICE_FINISHED) .. '\176'

-- Tell whoever watches these ids, in this order, that they are over; `outcome_of` gives the packed outcome at a place.
function engine.tell_watchers(ids, outcome_of)
  if #ids == 0 or engine.nobody_watches then return end
  -- Nobody begins to while a script runs.
  engine.nobody_watches = call('EXISTS', P .. 'v') == 0
  if engine.nobody_watches then return end
  local watching, heard, messages, told = engine.watchers_of(ids), {}, {}, {}
  for place, id in ipairs(ids) do
    if watching[place] then
      heard[#heard + 1] = id
      local outcome = outcome_of(place)
      local message = FINISHED .. id .. engine.text_head(#outcome) .. outcome
      for _, session in ipairs(engine.inboxes_of(watching[place])) do
        if not messages[session] then
          messages[session] = {}
          told[#told + 1] = session
        end
        local mail = messages[session]
        mail[#mail + 1] = message
      end
    end
  end
  for _, session in ipairs(told) do
    engine.call_many('RPUSH', P .. 'x' .. session, messages[session])
    engine.ring(session)
  end
  engine.call_many('HDEL', P .. 'v', heard)
end

-- Have the session told of the ends of these live invocations.
function engine.watch(session, ids)
  if #ids == 0 then return end
  local own, pairs_of, watching = string.format('%.0f', session), {}, engine.watchers_of(ids)
  for place, id in ipairs(ids) do
    local watchers = own
    for _, other in ipairs(watching[place] and engine.inboxes_of(watching[place]) or {}) do
      if other ~= own then watchers = watchers .. ' ' .. other end
    end
    pairs_of[2 * place - 1], pairs_of[2 * place] = id, watchers
  end
  engine.call_many('HSET', P .. 'v', pairs_of, 2)
end
