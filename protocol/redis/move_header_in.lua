-- move_header_in: go on with numbers where the other store stopped; know its queues and its ended sessions.
--
-- ARGV[2]  {next number of the order of submission, number of the last session, paused queues, used queues,
--          sessions, each {number, info, opened, expires, ended}, settings, rates, breakers; each, as of paused queues, {name, value}}
-- Reply    1
-- Atomic; O(n). Safe to repeat.

--- include shared/store.lua

local request = unpack_record(ARGV[2])
local kept = call('HMGET', P .. 'meta', 'sequence', 'sessions')
call('HSET', P .. 'meta', 'sequence', math.max(request[1], tonumber(kept[1] or 0)),
  'sessions', math.max(request[2], tonumber(kept[2] or 0)))
for _, pause in ipairs(request[3]) do call('HSET', P .. 'paused', pause[1], pause[2]) end
for _, queue in ipairs(request[4]) do call('SADD', P .. 'queues', queue) end
for _, row in ipairs(request[5]) do
  call('HSET', P .. 's' .. row[1], 'info', row[2], 'opened', row[3], 'expires', row[4], 'ended', row[5])
  call('ZADD', P .. 'ended', row[5], row[1])
end
for _, setting in ipairs(request[6]) do
  engine.claim_gates()
  call('HSET', P .. 'gates:settings', setting[1], setting[2])
end
for _, rate in ipairs(request[7]) do call('ZADD', P .. 'gates:rates', 'GT', rate[2], rate[1]) end
for _, breaker in ipairs(request[8]) do call('HSET', P .. 'gates:breakers', breaker[1], breaker[2]) end
return 1
