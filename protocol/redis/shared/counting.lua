-- When the calls that are known were submitted.

-- Count a known call under the hour of its submission: the earliest hour bounds the age of the oldest call.
function engine.count_call(registered_at, number)
  local hour = string.format('%.0f', math.floor(registered_at / HOUR))
  if call('HINCRBY', P .. 'hours', hour, number) <= 0 then call('HDEL', P .. 'hours', hour) end
end
