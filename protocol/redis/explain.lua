-- explain: the facts that decide whether one invocation runs.
--
-- ARGV[2]  {id, most named}
-- Reply    false if unknown, else {now, snapshot, queue, pause or false, listeners, owner or false, ahead, waits, waits in all,
--          gates}; waits are {id, stored call, standing}, gates as in shared/gate_facts.lua
-- One consistent read; O(log N + sessions).

--- include shared/store.lua
--- plain shared/ungated.lua
--- include shared/unit.lua
--- gated shared/gating.lua
--- include shared/waking.lua
--- include shared/reading.lua
--- include shared/listing.lua
--- gated shared/gate_facts.lua

local request = unpack_record(ARGV[2])
local id = request[1]
local r = engine.record(id)
local o = not r and engine.outcome(id)
if not r and not o then return pack(false) end

local queue = r and r[C_QUEUE] or o[O_QUEUE]
local rows = {}
for place, number in ipairs(engine.listeners(queue)) do rows[place] = engine.session_row(number) end
local owner = r and r[C_OWNER] ~= 0 and engine.session_row(r[C_OWNER]) or false
local ahead = 0
if r and r[C_STATE] == READY and r[C_OWNER] == 0 then
  if engine.number_before then
    ahead = engine.number_before(P .. 'q' .. queue, r[C_RANK], id) + engine.number_before(P .. 'A' .. queue, r[C_RANK], id)
  else
    ahead = call('ZRANK', P .. 'q' .. queue, id) or 0
  end
end
local gates = {}
for place, gate in ipairs(r and r[C_GATED] and r[C_GATED][G_GATES] or {}) do
  gates[place] = engine.gate_fact(r, gate, request[2])
end
local edges = r and engine.sorted_ids(call('SMEMBERS', P .. 'p' .. id)) or {}
local waits = {}
for place = 1, math.min(#edges, request[2]) do
  waits[place] = { edges[place], call('GET', P .. 'c' .. edges[place]), engine.standing_of(edges[place]) }
end
return pack({
  now, engine.snapshots_of({ id })[1], queue, call('HGET', P .. 'paused', queue), rows, owner, ahead, waits, #edges,
  gates,
})
