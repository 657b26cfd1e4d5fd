-- unnamed_before: since when client data may be named by a known invocation.
--
-- Reply    microseconds, as a text
-- One consistent read; O(hours in which known calls were submitted).

--- include shared/store.lua
--- include shared/forgetting.lua

return engine.unnamed_before()
