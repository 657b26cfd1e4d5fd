"""Types of task options under their published name."""

from __future__ import annotations

from enum import StrEnum


class ConcurrencyControlType(StrEnum):
    """Which invocations of a task exclude each other."""

    DISABLED = "disabled"
    """None."""
    TASK = "task"
    """All of the task."""
    ARGUMENTS = "arguments"
    """Those with equal arguments."""
    KEYS = "keys"
    """Those whose `key_arguments` are equal."""
