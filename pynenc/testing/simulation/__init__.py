"""The engine under a seeded scheduler: interleavings, lost messages, kills and pauses, and a check of the outcome."""
