"""Gates: what may close in front of an invocation, as its submission carries it and as it is changed live.

An invocation that names gates, or a flow, is queued in a lane together with those that name the same ones; what stores
do with lanes is in `protocol/SEMANTICS.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, TypeAlias

from msgspec import Struct
from msgspec.structs import StructConfig

from pynenc.model.ids import InvocationId

MOST_GATES = 8
MOST_KEY_BYTES = 512
MOST_WEIGHT = 100


class _Named:
    """What is named by its kind and its key."""

    __slots__ = ()
    __struct_config__: ClassVar[StructConfig]
    key: str

    @property
    def name(self) -> str:
        return f"{self.__struct_config__.tag}:{self.key}"


class GateMode(IntEnum):
    """What a claim does with an invocation that a gate stops."""

    PARK = 0
    """Leave it queued until the gate lets it pass."""
    REJECT = 1
    """End it CONCURRENCY_CONTROLLED_FINAL."""


class SlotGate(_Named, Struct, frozen=True, kw_only=True, tag="slots", omit_defaults=True):
    """At most `limit` run at a time."""

    key: str
    limit: int
    mode: GateMode = GateMode.PARK
    hold_while_waiting: bool = False
    """Whether a run that waits for others keeps its unit (and lends it to what was submitted below it)."""
    block_lane_on_retry: bool = False
    """Whether the unit is kept while a retry is delayed, so that nothing of this key overtakes it: ordering keys."""


class RateGate(_Named, Struct, frozen=True, kw_only=True, tag="rate", omit_defaults=True):
    """Starts come `interval_us` apart on average, `burst` of them at once after a pause (GCRA)."""

    key: str
    interval_us: int
    burst: int = 1
    mode: GateMode = GateMode.PARK


class BreakerGate(_Named, Struct, frozen=True, kw_only=True, tag="breaker", omit_defaults=True):
    """Closes for `open_for_us` once `failures` attempts in a row failed; then one trial run decides how it goes on."""

    key: str
    failures: int
    open_for_us: int
    mode: GateMode = GateMode.PARK


Gate: TypeAlias = SlotGate | RateGate | BreakerGate


def keep_order(gates: Iterable[Gate]) -> bool:
    """Whether one of these is an ordering key, under which nothing overtakes what came before."""
    return any(isinstance(gate, SlotGate) and gate.block_lane_on_retry for gate in gates)


class Flow(Struct, frozen=True, omit_defaults=True):
    """Who shares a queue: each flow with work gets starts in proportion to its weight."""

    key: str
    weight: int = 1
    """1..100."""

    @property
    def name(self) -> str:
        return f"flow:{self.key}"


# --- changing them live ---------------------------------------------------------------------------------


class SlotSetting(_Named, Struct, frozen=True, tag="slots"):
    """So many at a time, whatever submissions say. 0 lets nothing pass."""

    key: str
    limit: int


class RateSetting(_Named, Struct, frozen=True, tag="rate"):
    """This rate, whatever submissions say."""

    key: str
    interval_us: int
    burst: int


class FlowSetting(_Named, Struct, frozen=True, tag="flow"):
    """This weight, whatever submissions say."""

    key: str
    weight: int


GateSetting: TypeAlias = SlotSetting | RateSetting | FlowSetting


# --- insight --------------------------------------------------------------------------------------------


class GateHolder(Struct, frozen=True, kw_only=True):
    """Who has a unit of a gate."""

    invocation_id: InvocationId
    task_id: str
    since_us: int


class GateFact(Struct, frozen=True, kw_only=True):
    """How a gate stands for one invocation."""

    name: str
    """`slots:KEY`, `rate:KEY` or `breaker:KEY`."""
    closed: bool
    """Whether it would stop the invocation now."""
    parked: bool
    """Whether the invocation, or its lane, waits for this gate to open."""
    limit: int | None = None
    """Of slots: so many at a time."""
    explicit: bool = False
    """Whether limit or rate were set live, and not by the submission."""
    holders: tuple[GateHolder, ...] = ()
    """By (since, id), at most 20. Of a breaker: the trial run."""
    holders_total: int = 0
    opens_at_us: int | None = None
    """Of a rate or breaker that is closed until a time: when it opens."""
    failures: int = 0
    """Of a breaker: failed attempts in a row."""
    open_since_us: int | None = None
    """Of a breaker: since when it lets nothing pass but a trial run."""
