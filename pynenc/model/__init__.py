"""Values the whole engine shares: no I/O, no clock."""
