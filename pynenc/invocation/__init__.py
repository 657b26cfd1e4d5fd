"""Invocations: what a call of a task returns."""

from __future__ import annotations

from pynenc.invocation.base import BaseInvocation, BaseInvocationGroup
from pynenc.invocation.concurrent import ConcurrentInvocation
from pynenc.invocation.distributed import DistributedInvocation, ReusedInvocation
from pynenc.invocation.group import ConcurrentInvocationGroup, DistributedInvocationGroup
from pynenc.invocation.history import HistoryEntry, Progress
from pynenc.model.status import InvocationStatus

TaskInvocation = DistributedInvocation

__all__ = [
    "BaseInvocation",
    "BaseInvocationGroup",
    "ConcurrentInvocation",
    "ConcurrentInvocationGroup",
    "DistributedInvocation",
    "DistributedInvocationGroup",
    "HistoryEntry",
    "InvocationStatus",
    "Progress",
    "ReusedInvocation",
    "TaskInvocation",
]


def __getattr__(name: str) -> object:
    if name in ("WorkflowInvocation", "WorkflowInvocationGroup"):
        from pynenc.errors import NotYetAvailable

        raise NotYetAvailable(f"{name} (workflows)")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
