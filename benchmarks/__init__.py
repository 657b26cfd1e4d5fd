"""Measurements of Pynenc and of its peers, in one run on one machine."""
