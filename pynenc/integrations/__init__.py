"""Middleware for programs that many use; each needs its own package, installed by the extra of the same name."""
