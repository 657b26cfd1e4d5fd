"""Imports before bodies run.

A body that is interrupted in the middle of an import may leave the lock of that module taken: every later body that
needs the module would wait for ever. What Pynenc itself needs in bodies is therefore imported before the first one.
"""

from __future__ import annotations

from importlib import import_module

_USED_IN_BODIES = (
    "pynenc.core.guarding",
    "pynenc.core.parallel",
    "pynenc.core.progress",
    "pynenc.core.submitting",
    "pynenc.core.views",
    "pynenc.invocation.concurrent",
    "pynenc.invocation.group",
    "pynenc.scheduling.naming",
)


def import_what_bodies_use() -> None:
    """Import what submitting, waiting and telling of progress need and the import of Pynenc puts off."""
    for name in _USED_IN_BODIES:
        import_module(name)
