"""What only Pynenc is asked for: one file per kind of figure, gathered in `measurements`."""
