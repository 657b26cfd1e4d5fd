"""What simulated bodies do: small programs that a seed chooses."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from pynenc.model.gates import Gate
from pynenc.model.ids import InvocationId


class Take(Struct, frozen=True):
    """Use up time."""

    duration_us: int


class Note(Struct, frozen=True):
    """Report progress."""

    body: bytes


class Spawn(Struct, frozen=True, kw_only=True):
    """Submit children, and wait for them unless `need` is None."""

    programs: tuple[int, ...]
    need: int | None = None
    timeout_us: int | None = None
    delay_us: int = 0
    """So long after their submission the children cannot be claimed."""
    queue: str = ""
    """Where they go; "" for the queue of their parent."""
    gates: tuple[Gate, ...] = ()


class WaitFor(Struct, frozen=True, kw_only=True):
    """Wait for invocations that somebody else submits; some may be unknown, or wait for this one."""

    ids: tuple[InvocationId, ...]
    need: int = 0
    timeout_us: int | None = None


Step: TypeAlias = Take | Note | Spawn | WaitFor


class Ending(IntEnum):
    RETURN = 0
    RAISE = 1
    CANCEL = 2


class Program(Struct, frozen=True, kw_only=True):
    """What the body of one invocation does."""

    steps: tuple[Step, ...]
    ending: Ending = Ending.RETURN
    failures: int = 0
    """So many counted attempts ask to be retried first."""
    retry_delay_us: int = 0
    obeys: bool = True
    """Whether it ends when it is asked to stop."""
