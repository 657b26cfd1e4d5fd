"""How a sleeping process learns that there is something for it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol


class Doorbell(Protocol):
    """A file descriptor that becomes readable when a session's process should call `exchange`.

    A ring may be lost (its sender died) or be idle; nothing depends on it but latency.
    """

    address: str
    """What producers need to ring; goes into `SessionInfo.doorbell`."""

    @abstractmethod
    def fileno(self) -> int:
        """Return the descriptor to wait on for readability."""

    @abstractmethod
    def clear(self) -> None:
        """Consume every ring so far. Never blocks."""

    @abstractmethod
    def ring(self) -> None:
        """Ring this bell from the same process. Never blocks, never fails."""

    @abstractmethod
    def close(self) -> None:
        """Give the descriptor back. Repeating changes nothing."""
