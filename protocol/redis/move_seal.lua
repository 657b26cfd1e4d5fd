-- move_seal: refuse every operation from now on but those of a move, if that may be.
--
-- ARGV[2]  {text of the seal, text of the one it replaces or '', needs nobody alive, needs to be empty}
-- Reply    'sealed', 'changed' (another seal is there), 'busy' (sessions are alive) or 'occupied' (it holds something);
--          all but the first change nothing
-- Atomic; O(1). Safe to repeat.

--- include shared/store.lua

local request = unpack_record(ARGV[2])
local kept = identity[2] or ''
if kept == request[1] then return 'sealed' end
if kept ~= request[2] then return 'changed' end
if request[3] and call('EXISTS', P .. 'l') == 1 then return 'busy' end
if request[4] and call('EXISTS', P .. 'all', P .. 'data') > 0 then return 'occupied' end
engine.claim_schema()
call('HSET', P .. 'meta', 'sealed', request[1])
call('SET', P .. 'sealed', request[1])
return 'sealed'
