"""Classes that say themselves how they are kept."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class JsonSerializable(Protocol):
    """A class with `to_json` and `from_json`; what `to_json` returns is kept like any other value."""

    @abstractmethod
    def to_json(self) -> Any:
        """Return a value from which `from_json` rebuilds this one."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Any) -> Any:
        """Rebuild a value from what `to_json` returned."""
