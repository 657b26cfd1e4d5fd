-- pause: stop claims of new work from a queue; what runs or waits goes on.
--
-- ARGV[2]  {queue, who, reason}
-- Reply    1
-- Atomic and O(1); repeating it changes nothing, whoever does.

--- include shared/store.lua

local request = unpack_record(ARGV[2])
engine.claim_schema()
call('HSETNX', P .. 'paused', request[1], pack({ request[2], request[3], now }))
return 1
