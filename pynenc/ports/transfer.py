"""Carrying everything from one store to another while nothing runs.

Both stores of a move are sealed for its length, and the old one for good: a sealed store refuses every operation of
every process but those of this port. So nothing is claimable in two stores at any moment, and whoever still uses the
old one is told where things are. A seal names its move; what changes a store names the seal it relies on and is refused
if another is there, so that a process that was overtaken (its move was finished or taken back by another one) does no
harm.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from msgspec import Struct

from pynenc.errors import StoreError, StoreSealed
from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId
from pynenc.model.records import AfterPolicy, Dedupe, Pause, SessionRow, Snapshot


class SealState(Enum):
    """Why a store refuses everything but its move."""

    LEAVING = "leaving"
    """What it holds is being carried to another store; it is still the only one that counts."""
    ARRIVING = "arriving"
    """It is being filled from another store."""
    MOVED = "moved"
    """What it held is in the other store."""


class Seal(Struct, frozen=True):
    """The mark of a store that takes part in a move."""

    state: SealState
    move: str
    """Which move: the same in both stores."""
    other: str
    """The other store of the move, without secrets."""

    @property
    def text(self) -> str:
        """What a store keeps."""
        return f"{self.state.value} {self.move} {self.other}"


def seal_of(text: str | None) -> Seal | None:
    """Return the seal that a store keeps as `text`."""
    if not text:
        return None
    state, move, other = text.split(" ", 2)
    return Seal(SealState(state), move, other)


def text_of(seal: Seal | None) -> str:
    """Return what a store keeps of a seal, "" for none."""
    return "" if seal is None else seal.text


def situation(seal: Seal, place: str) -> tuple[str, str]:
    """Return what the seal of the store at `place` says, and what to do about it."""
    if seal.state is SealState.MOVED:
        return f"what was in the store {place} has been moved to {seal.other}", "use that URL"
    source, target = (place, seal.other) if seal.state is SealState.LEAVING else (seal.other, place)
    return (
        f"the store {place} takes part in a move from {source} to {target} that is not complete",
        "let `pynenc move` finish (the same command goes on where it stopped), or take it back with --abandon",
    )


def refusal(text: str, place: str) -> StoreSealed:
    """Return the error for any operation on the store at `place`, which keeps the seal `text`."""
    seal = seal_of(text)
    assert seal is not None
    return StoreSealed(": ".join(situation(seal, place)))


def overtaken(place: str) -> StoreError:
    """Return the error for a change of the store at `place` that relies on a seal which is no longer there."""
    return StoreError(
        f"the move that the store {place} took part in was finished or taken back meanwhile by another process"
    )


class SealReply(Enum):
    """What became of a wish to seal a store; only the first changed anything."""

    SEALED = "sealed"
    CHANGED = "changed"
    """Its seal is not the one that was to be replaced."""
    BUSY = "busy"
    """Sessions are alive, or a transaction that writes is open."""
    OCCUPIED = "occupied"
    """It is to be filled, but holds something."""


class Survey(Struct, frozen=True, kw_only=True):
    """What a store holds."""

    seal: Seal | None
    invocations: int
    sessions: tuple[SessionRow, ...]
    """Those that have not ended."""


class CarriedBreaker(Struct, frozen=True, kw_only=True):
    """A breaker that is not at rest."""

    name: str
    failures: int
    open_since_us: int | None
    open_until_us: int | None


class CarriedUnit(Struct, frozen=True, kw_only=True):
    """A unit that an invocation keeps while its retry is delayed."""

    gate: str
    since_us: int
    limit: int


class Header(Struct, frozen=True, kw_only=True):
    """What a store holds beside invocations and client data."""

    sequence: int
    """Rank within its band of the next submission without a key."""
    last_session: int
    paused: tuple[Pause, ...]
    """By queue."""
    queues: tuple[str, ...]
    """Every queue that was ever used."""
    sessions: tuple[SessionRow, ...]
    """Ended ones, which the history of invocations names."""
    settings: tuple[GateSetting, ...] = ()
    """What was set with `put_gate`, by name."""
    rates: tuple[tuple[str, int], ...] = ()
    """Theoretical arrival times of rate gates that are still to come, by name."""
    breakers: tuple[CarriedBreaker, ...] = ()
    """By name."""


class Carried(Struct, frozen=True, kw_only=True):
    """All that a store keeps of one invocation that nobody owns."""

    snapshot: Snapshot
    band: int
    retention_us: int | None
    max_crashes: int
    after_policy: AfterPolicy = AfterPolicy.ALL_SUCCEEDED
    """Says something only with edges."""
    edges: tuple[InvocationId, ...] = ()
    """Those it comes after that are not final, by id."""
    dedupe: Dedupe | None = None
    """The key that it holds."""
    units: tuple[CarriedUnit, ...] = ()
    """By gate."""


class CarriedData(Struct, frozen=True, kw_only=True):
    """One value of the client data store."""

    key: bytes
    data: bytes
    written_at_us: int


class Transfer(Protocol):
    """One side of a move. Every operation may be repeated. None is refused by a seal."""

    @abstractmethod
    def survey(self) -> Op[Survey]:
        """Return what is there."""

    @abstractmethod
    def seal(self, mark: Seal, *, instead_of: Seal | None) -> Op[SealReply]:
        """Refuse from now on every operation of every process but those of this port.

        One atomic unit with the look whether that may be: the seal must be `instead_of` (or `mark` already), `LEAVING`
        needs a store in which no session is alive, `ARRIVING` one that holds neither invocations nor data besides.
        `MOVED` needs nothing more. Whatever was acknowledged before is there; what comes later is refused.
        """

    @abstractmethod
    def unseal(self, mark: Seal) -> Op[bool]:
        """Let everybody in again if the seal is `mark`; return whether the store is open now."""

    @abstractmethod
    def header(self) -> Op[Header]:
        """Return what is neither an invocation nor client data."""

    @abstractmethod
    def put_header(self, mark: Seal, header: Header) -> Op[None]:
        """Continue numbers where the other store stopped; pause its paused queues; remember its sessions.

        Raises:
            StoreError: the seal is not `mark`; nothing changed.
        """

    @abstractmethod
    def carry_out(self, after: InvocationId | None, limit: int) -> Op[list[Carried]]:
        """Return the next invocations by id, at most `limit`; none: there are no more."""

    @abstractmethod
    def carry_in(self, mark: Seal, items: Sequence[Carried]) -> Op[None]:
        """Keep invocations as they are, all or none; those that are known are passed over.

        Raises:
            StoreError: the seal is not `mark`; nothing changed.
        """

    @abstractmethod
    def data_out(self, after: bytes | None, limit: int) -> Op[list[CarriedData]]:
        """Return the next client data by key, at most `limit`; none: there is no more."""

    @abstractmethod
    def data_in(self, mark: Seal, items: Sequence[CarriedData]) -> Op[None]:
        """Keep client data with its age.

        Raises:
            StoreError: the seal is not `mark`; nothing changed.
        """

    @abstractmethod
    def clear(self, mark: Seal) -> Op[None]:
        """Forget everything but the seal, a part at a time.

        Raises:
            StoreError: the seal is not `mark`.
        """
