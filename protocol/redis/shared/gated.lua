-- The build for apps with gates.

engine.is_gated = true

-- Whether nothing gated is handed out, because lanes are made anew: see rebuild_gates.lua.
engine.is_mending = identity[4] and tonumber(identity[4]) > now
