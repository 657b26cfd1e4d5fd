-- children: whom an invocation submitted.
--
-- ARGV[2]  its id
-- Reply    ids, in any order
-- One consistent read; O(children).

--- include shared/store.lua

return call('SMEMBERS', P .. 'h' .. ARGV[2])
