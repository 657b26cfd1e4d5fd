-- list_gates: everything that was set with `put_gate`.
--
-- Reply    {name, packed numbers, ...}, in any order
-- One consistent read; O(settings).

--- include shared/store.lua

return call('HGETALL', P .. 'gates:settings')
