"""Types of app settings under their published name."""

from __future__ import annotations

from enum import StrEnum


class ArgumentPrintMode(StrEnum):
    """How much of the arguments of a call a log shows."""

    FULL = "full"
    """Names and whole values."""
    KEYS = "keys"
    """Names only."""
    TRUNCATED = "truncated"
    """Names and the beginning of each value."""
    HIDDEN = "hidden"
    """Nothing."""


class LogFormat(StrEnum):
    """How log records are written."""

    TEXT = "text"
    """A line for people."""
    JSON = "json"
    """One JSON object a line."""
