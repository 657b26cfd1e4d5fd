-- collect_data: drop data that was last written before an instant.
--
-- ARGV[2]  the instant in microseconds
-- Reply    how many went
-- Atomic; O(what is old).

--- include shared/store.lua

local old = call('ZRANGEBYSCORE', P .. 'data', '-inf', '(' .. ARGV[2])
for _, key in ipairs(old) do
  call('UNLINK', P .. 'b' .. key)
  call('ZREM', P .. 'data', key)
end
return #old
