-- collect_data: drop data that was last written long ago and is not wanted.
--
-- ARGV[2]  {keys to keep, age in microseconds}
-- Reply    how many went
-- Atomic; O(what is old).

--- include shared/store.lua

local request = unpack_record(ARGV[2])
local keep, went = {}, 0
for _, key in ipairs(request[1]) do keep[key] = true end
local limit = '(' .. string.format('%.0f', now - request[2])
for _, key in ipairs(call('ZRANGEBYSCORE', P .. 'data', '-inf', limit)) do
  if not keep[key] then
    call('UNLINK', P .. 'b' .. key)
    call('ZREM', P .. 'data', key)
    went = went + 1
  end
end
return went
