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

    def was_cut(self) -> bool:
        """Return whether the line to the store broke since the last call.

        If so, the store may have crashed and lost what it need not keep, such as watches: ask again for everything
        that is still waited for. Only stores that lose such things with the line tell of it.
        """
        return False

    @abstractmethod
    def ring(self) -> None:
        """Ring this bell from the same process. Never blocks, never fails."""

    @abstractmethod
    def close(self) -> None:
        """Give the descriptor back. Repeating changes nothing."""
