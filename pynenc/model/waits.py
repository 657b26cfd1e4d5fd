"""What a body that waited is told."""

from __future__ import annotations

from msgspec import Struct

from pynenc.model.ids import InvocationId
from pynenc.model.records import Outcome


class WaitReply(Struct, frozen=True, kw_only=True):
    """Why a suspended body goes on."""

    outcomes: tuple[Outcome, ...] = ()
    timed_out: bool = False
    cycle: tuple[InvocationId, ...] = ()
    """Waiting was refused: it would close this cycle."""
    unknown: tuple[InvocationId, ...] = ()
    """Waiting was refused: nobody knows these ids."""
