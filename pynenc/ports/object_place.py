"""Where the objects of a client data store lie: a folder, a bucket."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from pynenc.ports.backend import Finding


class ObjectPlace(Protocol):
    """Keeps objects under names in groups. Every call may block, and may be made from any thread.

    Names and groups are made of digits, lower-case letters and `-` by Pynenc itself; none comes from outside.
    """

    url: str
    """Where it is, without secrets."""

    @abstractmethod
    def has(self, group: str, name: str) -> bool:
        """Whether there is such an object."""

    @abstractmethod
    def write(self, group: str, name: str, content: bytes) -> None:
        """Make the object, or replace it: others see it whole or not at all. It is there to stay once this returned.

        Raises:
            StoreError: it is not there, or not changed.
        """

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Make an object outside of all groups unless there is one; whether this made it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove an object outside of all groups, if there is one."""

    @abstractmethod
    def read(self, group: str | None, name: str) -> bytes | None:
        """Return the content of an object, None if there is none; `group` None: of one outside of all groups."""

    @abstractmethod
    def groups(self) -> list[str]:
        """Return the groups that have objects."""

    @abstractmethod
    def drop_group(self, group: str) -> int:
        """Remove a group with its objects; return how many there were. Others may do so at the same time."""

    @abstractmethod
    def sweep(self, *, before_us: int) -> None:
        """Remove what writers left unfinished that began before this instant."""

    @abstractmethod
    def name_of(self, group: str, name: str) -> str:
        """Return how people call an object."""

    @abstractmethod
    def diagnose(self) -> list[Finding]:
        """Check for `pynenc doctor` whether it can be written and read, and by whom."""

    @abstractmethod
    def close(self) -> None:
        """Give descriptors and connections back; the next call opens them anew."""
