-- pause: stop claims of new work from a queue; what runs or waits goes on.
--
-- ARGV[2]  the queue
-- Reply    1
-- Atomic and O(1); repeating it changes nothing.

--- include shared/store.lua

engine.claim_schema()
call('SADD', P .. 'paused', ARGV[2])
return 1
