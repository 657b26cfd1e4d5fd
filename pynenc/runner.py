"""Published place of the runners."""

from __future__ import annotations

from pynenc.runners.runner import (
    AsyncRunner,
    DummyRunner,
    HybridRunner,
    MultiThreadRunner,
    PersistentProcessRunner,
    ProcessRunner,
    Runner,
    ThreadRunner,
)

__all__ = [
    "AsyncRunner",
    "DummyRunner",
    "HybridRunner",
    "MultiThreadRunner",
    "PersistentProcessRunner",
    "ProcessRunner",
    "Runner",
    "ThreadRunner",
]
