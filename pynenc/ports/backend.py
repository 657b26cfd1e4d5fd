"""A store as the composition of an app sees it: the ports it offers and what it can promise."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from pynenc.errors import ConfigurationError
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.state_backend import StateBackend
from pynenc.ports.transaction import Transaction
from pynenc.ports.transfer import Transfer

ClockUs: TypeAlias = Callable[[], int]
"""Returns microseconds since the Unix epoch."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a store promises; building an app that needs more fails."""

    across_processes: bool
    durability: str
    """`none`, `process` (survives kill -9 of any process), `power` (survives power loss)."""
    push: bool
    """Sleepers are woken; without it they poll."""
    gates: bool = False
    """It keeps gates, flows and every mode of deduplication; others refuse them (`GatesUnsupported`)."""
    journal: bool = False


class Backend(Protocol):
    """One opened store. Its three ports act in one atomic unit where the engine needs that."""

    url: str
    """Where it is, without secrets."""
    capabilities: Capabilities
    orchestrator: Orchestrator
    state_backend: StateBackend
    client_data_store: ClientDataStore
    transfer: Transfer
    """For `pynenc move`."""

    @abstractmethod
    def close(self) -> None:
        """Give connections and descriptors back. Safe to repeat; the next operation opens them anew."""

    def transaction(self, connection: object) -> Transaction:
        """Return a transaction of the user's own, on their connection to the database that the store is in.

        Raises:
            ConfigurationError: the store is in no database with transactions, or the connection is to another one.
        """
        raise ConfigurationError(
            f"the store {self.url} has no transactions of yours to take part in; postgresql:// and sqlite:// do"
        )

    @abstractmethod
    def migrate(self, *, post: bool = False) -> Op[list[str]]:
        """Create or complete what this release needs; return what was done, for people.

        Args:
            post: also take away what only older releases need; no process of theirs may be left.
        """

    @abstractmethod
    def diagnose(self) -> Op[list[Finding]]:
        """Check the health of the store itself for `pynenc doctor`."""

    @abstractmethod
    def dump(self) -> Op[dict[str, Any]]:
        """Return the whole state in canonical form: equal for stores that went through equal operations.

        Plain dictionaries and lists, everything sorted; for tests and repair, not for big stores. Keys:
        `calls`, `controls`, `outcomes`, `attempts`, `waits`, `dedupe`, `sessions`, `inbox`, `watches`,
        `progress`, `paused`, and `gates` if there is anything to tell of gates.
        """


class Finding(Struct, frozen=True, kw_only=True):
    """One thing `doctor` has to say."""

    level: str
    """`ok`, `warning` or `error`."""
    subject: str
    detail: str
    remedy: str = ""
