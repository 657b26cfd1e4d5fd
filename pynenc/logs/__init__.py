"""Logging: silent as a library, readable in a terminal, JSON for machines, always with the invocation at hand."""

from __future__ import annotations

import logging

# Without a handler of our own Python would print warnings of a library that nobody configured.
logging.getLogger("pynenc").addHandler(logging.NullHandler())
