"""The measurements of Pynenc alone, by the names that the command line knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from benchmarks.alone.awaiting import awaiting
from benchmarks.alone.batches import batches
from benchmarks.alone.fleet import idle_fleet
from benchmarks.alone.growth import growth
from benchmarks.alone.installation import install
from benchmarks.alone.latency import latency
from benchmarks.alone.long_queue import long_queue
from benchmarks.alone.memory import memory
from benchmarks.alone.mixed import mixed
from benchmarks.alone.places import DURABLE
from benchmarks.alone.processes import idle, importing, recovery, start
from benchmarks.alone.sleeps import sleeps
from benchmarks.record import Measured


class Scale(Struct, frozen=True, kw_only=True):
    """How much is measured; the defaults end within ten minutes."""

    stores: Sequence[str] = DURABLE
    """What latencies, batches, the long queue and growth are measured on."""
    queued: int = 1_000_000
    """In the long queue."""
    finished: int = 100_000
    """Tasks whose remains are looked for; a million of them takes minutes on each store."""
    waiting: int = 100_000
    """Tasks whose memory is measured."""
    fleet: int = 20
    """Idle runners."""
    watch_s: float = 20.0
    """How long something idle is watched."""
    round_trips: int = 300
    """Of each series of latencies."""
    tasks: int = 10_000
    """Of one size of batch, and of the sleeps."""
    mixed: int = 400
    """Of the mixed load."""


MEASUREMENTS: Mapping[str, Callable[[Scale], Measured]] = {
    "recovery": lambda _: recovery(),
    "idle": lambda scale: idle(scale.watch_s),
    "fleet": lambda scale: idle_fleet(scale.fleet, scale.watch_s),
    "start": lambda _: start(),
    "import": lambda _: importing(),
    "sleeps": lambda scale: sleeps(scale.tasks),
    "mixed": lambda scale: mixed(scale.mixed),
    "memory": lambda scale: memory(scale.waiting),
    "latency": lambda scale: latency(scale.stores, scale.round_trips),
    "awaiting": lambda scale: awaiting(scale.stores, scale.round_trips),
    "batches": lambda scale: batches(scale.stores, scale.tasks),
    "long-queue": lambda scale: long_queue(scale.stores, scale.queued),
    "growth": lambda scale: growth(scale.stores, scale.finished),
    "install": lambda _: install(),
}
"""In the order of measurement."""
APART = ("install",)
"""Not part of `own`: needs the network."""
