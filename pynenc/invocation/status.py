"""Published place of `InvocationStatus`."""

from __future__ import annotations

from pynenc.model.status import InvocationStatus

__all__ = ["InvocationStatus"]
