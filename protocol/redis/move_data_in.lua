-- move_data_in: keep client data of another store, each with its age.
--
-- ARGV[2]  {{key, data, when it was written}, …}
-- Reply    1
-- Atomic; O(size). Safe to repeat.

--- include shared/store.lua

for _, item in ipairs(unpack_record(ARGV[2])) do
  call('SET', P .. 'b' .. item[1], item[2])
  call('ZADD', P .. 'data', string.format('%.0f', item[3]), item[1])
end
return 1
