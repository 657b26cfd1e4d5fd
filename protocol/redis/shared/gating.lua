-- Limits, rates and shares: what the gated build of an operation needs beside the unit of work.

--- include shared/gated.lua
--- include shared/lanes.lua
--- include shared/flows.lua
--- include shared/gate_records.lua
--- include shared/gates.lua
--- include shared/resuming.lua

-- Load lanes and gates of those of these invocations that are gated.
function engine.fetch_gating(ids)
  local queued, gated = {}, {}
  for _, id in ipairs(ids) do
    local r = engine.record(id)
    if r and r[C_GATED] then
      gated[#gated + 1] = r
      if r[C_STATE] == READY and r[C_OWNER] == 0 then queued[#queued + 1] = r end
    end
  end
  engine.fetch_lanes(queued)
  engine.fetch_gates(gated)
end

-- Write what became of lanes, tokens and gates: before indexes are read, and in the end.
function engine.write_gating()
  write_lanes()
  write_tokens()
  write_gates()
end

-- Forget what this call knows, all of which is written: it may not be true any more.
function engine.begin_anew()
  engine.flush()
  forget_records()
  forget_lanes()
  forget_gates()
end
