-- The build for apps with gates.

engine.is_gated = true
