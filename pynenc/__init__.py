"""Pynenc: task management for distributed orchestration.

from pynenc import Pynenc

app = Pynenc()

@app.task
def add(x: int, y: int) -> int:
    return x + y

add(1, 2).result
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.builder import PynencBuilder
    from pynenc.conf.config_task import ConcurrencyControlType
    from pynenc.context import current_invocation
    from pynenc.errors import Cancel, PynencError, Retry, RetryError
    from pynenc.invocation import BaseInvocation, BaseInvocationGroup, InvocationStatus
    from pynenc.limits import Breaker, Limit, Order, Rate
    from pynenc.task import Task

__version__ = "0.5.0.dev0"

_HOMES = {
    "Pynenc": "pynenc.app",
    "PynencBuilder": "pynenc.builder",
    "Task": "pynenc.task",
    "ConcurrencyControlType": "pynenc.conf.config_task",
    "current_invocation": "pynenc.context",
    "BaseInvocation": "pynenc.invocation",
    "BaseInvocationGroup": "pynenc.invocation",
    "InvocationStatus": "pynenc.model.status",
    "Limit": "pynenc.limits",
    "Rate": "pynenc.limits",
    "Breaker": "pynenc.limits",
    "Order": "pynenc.limits",
    "PynencError": "pynenc.errors",
    "RetryError": "pynenc.errors",
    "Retry": "pynenc.errors",
    "Cancel": "pynenc.errors",
}

__all__ = [
    "BaseInvocation",
    "BaseInvocationGroup",
    "Breaker",
    "Cancel",
    "ConcurrencyControlType",
    "InvocationStatus",
    "Limit",
    "Order",
    "Pynenc",
    "PynencBuilder",
    "PynencError",
    "Rate",
    "Retry",
    "RetryError",
    "Task",
    "current_invocation",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
