"""Drivers of other task systems. Each runs in an environment that has that system and not Pynenc's own code."""
