-- Proof of life.

-- Refuse an ended session, else renew its lease. Nothing was written before.
function engine.renew(session)
  local lease = call('ZSCORE', P .. 'l', session) and call('HGET', P .. 's' .. session, 'lease')
  if not lease then engine.refuse('SESSION_GONE', session) end
  call('ZADD', P .. 'l', now + lease, session)
end
