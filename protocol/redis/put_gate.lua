-- put_gate: set limit, rate or weight of a gate or flow, whatever submissions say.
--
-- ARGV[2]  {name, numbers}: of slots {limit}, of a rate {interval, burst}, of a flow {weight}
-- Reply    1
-- Atomic; O(log N) for each invocation or lane that may now pass. Repeating it changes nothing.

--- include shared/store.lua
--- include shared/unit.lua
--- include shared/gating.lua
--- include shared/waking.lua

local request = unpack_record(ARGV[2])
engine.claim_schema()
engine.claim_gates()
call('HSET', P .. 'gates:settings', request[1], pack(request[2]))
engine.activate(request[1])
engine.finish()
return 1
