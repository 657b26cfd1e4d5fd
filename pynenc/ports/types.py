"""Which classes stored bytes may construct."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol


class TypeRegistry(Protocol):
    """Resolves the names of classes an app knows: annotations of its tasks, their modules, registered types."""

    @abstractmethod
    def resolve(self, name: str) -> type | None:
        """Return the class called `module:Qualified.Name`, or None if the app does not know it."""
