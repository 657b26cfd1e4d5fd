-- total: how many invocations are known.
--
-- Reply    their number
-- One consistent read; O(1).

--- include shared/store.lua

return call('ZCARD', P .. 'all')
