"""Submissions inside a transaction of the user's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from pynenc.model.records import Submission, SubmitReply


class Transaction(Protocol):
    """A transaction that somebody else began and will commit or roll back."""

    @abstractmethod
    def submit(self, items: Sequence[Submission]) -> list[SubmitReply]:
        """Create invocations that exist if and only if the transaction commits.

        Raises:
            ConfigurationError: an item comes after others or has a key, which takes more than this transaction;
                or the connection is of another kind than this method serves.
        """

    @abstractmethod
    async def asubmit(self, items: Sequence[Submission]) -> list[SubmitReply]:
        """The same on a connection of the running event loop."""

    @abstractmethod
    def left(self) -> None:
        """The block that used it is over: wake runners if it has been committed."""
