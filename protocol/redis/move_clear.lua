-- move_clear: forget sessions and queues once `purge_all` has forgotten the rest; the seal stays.
--
-- Reply    1
-- Atomic; O(sessions that ever were).

--- include shared/store.lua

for number = 1, tonumber(call('HGET', P .. 'meta', 'sessions') or 0) do call('UNLINK', P .. 's' .. number) end
call('UNLINK', P .. 'paused', P .. 'queues', P .. 'idle', P .. 'l', P .. 'ended',
  P .. 'gates:settings')
call('HDEL', P .. 'meta', 'sequence', 'sessions')
return 1
