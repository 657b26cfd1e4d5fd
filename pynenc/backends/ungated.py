"""What a store without gates refuses."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.errors import GatesUnsupported
from pynenc.model.records import DedupeMode, DedupePhase, Submission


def refuse_gates(items: Sequence[Submission]) -> None:
    """Refuse submissions that need gates, before anything is written.

    Raises:
        GatesUnsupported: an item has gates, a flow, or a key in a way that came with them.
    """
    for item in items:
        if item.gates or item.flow is not None:
            raise GatesUnsupported("gates and flows (limits, rates and shares)")
        dedupe = item.dedupe
        if dedupe is not None and (dedupe.mode is not DedupeMode.REUSE or dedupe.phase is DedupePhase.FOR_A_WHILE):
            raise GatesUnsupported("debouncing, throttling and comparing arguments")
