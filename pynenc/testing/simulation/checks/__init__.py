"""What the checker checks, by promise."""
