-- The build for apps without gates: the client takes the other one as soon as it is told that gates are in use.

if identity[3] then engine.refuse('GATED', '') end
