-- move_unseal: let everybody in again, if this is the seal.
--
-- ARGV[2]  text of the seal
-- Reply    1 if the store is open now, else 0
-- Atomic; O(1). Safe to repeat.

--- include shared/store.lua

if identity[2] and identity[2] ~= ARGV[2] then return 0 end
call('HDEL', P .. 'meta', 'sealed')
call('UNLINK', P .. 'sealed')
return 1
