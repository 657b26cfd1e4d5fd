-- Flows: who shares a queue; see SEMANTICS.md, "Lanes and gates".

-- A flow of a queue, as long as one of its lanes is not parked: {tag or false, its token in `Q<queue>` or false}.
function engine.share(queue, flow)
  local kept = call('HGET', P .. 'f' .. queue, flow)
  return kept and unpack_record(kept)
end

function engine.virtual_time(queue)
  return tonumber(call('HGET', P .. 'gates:virtual', queue) or FLOW_BASE)
end

function engine.flow_cost(id, flow)
  local setting = engine.setting('flow:' .. flow)
  local weight = setting and setting[1] or engine.record(id)[C_GATED][G_FLOW][2]
  return math.floor(FLOW_UNIT / weight)
end

-- Put the first token of a flow where its tag says.
function engine.place_share(queue, flow)
  local share = engine.share(queue, flow) or { false, false }
  local first = call('ZRANGE', engine.flow_index(queue, flow), 0, 0, 'WITHSCORES')
  local id = first[1]
  if share[2] and share[2] ~= id then engine.drop_token(queue, share[2]) end
  if not id then
    call('HDEL', P .. 'f' .. queue, flow)
    if call('EXISTS', P .. 'f' .. queue) == 0 then call('HDEL', P .. 'gates:virtual', queue) end
    return
  end
  local tag = share[1] or engine.virtual_time(queue) + engine.flow_cost(id, flow)
  local band = math.floor(tonumber(first[2]) / BAND_UNIT) * BAND_UNIT
  engine.put_token(queue, band + math.min(tag, BAND_UNIT - 1), id)
  call('HSET', P .. 'f' .. queue, flow, pack({ tag, id }))
end

-- One of its invocations starts: virtual time goes on, and the flow gets another tag once it has left its lane.
function engine.go_on_in_time(queue, flow)
  local share = engine.share(queue, flow)
  if not share or not share[1] then return end
  call('HSET', P .. 'gates:virtual', queue, math.max(engine.virtual_time(queue), share[1]))
  call('HSET', P .. 'f' .. queue, flow, pack({ false, share[2] }))
end
