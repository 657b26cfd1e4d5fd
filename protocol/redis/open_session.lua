-- open_session: register a process incarnation under a number that was never used.
--
-- ARGV[2]  {info (opaque), lease, bell address, is a runner, queues}
-- Reply    the number
-- Atomic; O(log N) in the number of live sessions. Repeating it opens another session.

--- include shared/store.lua

local request = unpack_record(ARGV[2])
engine.claim_schema()
local session = call('HINCRBY', P .. 'meta', 'sessions', 1)
call('HSET', P .. 's' .. session, 'info', request[1], 'lease', request[2], 'bell', request[3], 'opened', now,
  'runner', request[4] and 1 or 0, 'queues', pack(request[5]))
call('ZADD', P .. 'l', now + request[2], session)
return session
