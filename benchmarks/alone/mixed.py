"""A mixed load: how much longer than the ideal schedule it takes, beside peers that prefetch a fixed number.

Whoever claims or sends ahead without care lets short bodies wait behind long ones, and at the end long ones behind each
other, while other slots are idle.
"""

from __future__ import annotations

import ast
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from benchmarks.alone.places import bench_client, fresh_store, runners
from benchmarks.environments import PEERS, python_of
from benchmarks.noop_app import doze_and_return
from benchmarks.peers.mixed import SHORT_S, SLOTS, ideal_s, lengths
from benchmarks.record import Figure, Measured
from benchmarks.systems.peer import Peer
from pynenc import __version__

_STORE = "redis"
_WORKERS = 2
_Once: TypeAlias = Callable[[int], tuple[float, Mapping[str, str]]]
"""Runs so many tasks; returns the seconds that they took, and the versions of what ran them."""


def mixed(tasks: int, rounds: int = 3) -> Measured:
    """The time of a mixed load on four slots over the ideal one, for Pynenc and its peers, all on one Redis."""
    return Measured(figures=[_figure(name, told, once, tasks, rounds) for name, told, once in _systems()])


def _figure(name: str, told: str, once: _Once, tasks: int, rounds: int) -> Figure:
    found = [once(tasks) for _ in range(rounds)]
    taken_s = statistics.median(taken_s for taken_s, _ in found)
    versions = ", ".join(f"{what} {version}" for what, version in found[0][1].items())
    value = taken_s / ideal_s(lengths(tasks))
    return Figure(what=f"{name}, {tasks:,} tasks", value=value, unit="×", detail=f"{told} {versions}")


def _systems() -> list[tuple[str, str, _Once]]:
    return [
        ("Pynenc, one runner", "A process runner of four workers; defaults.", partial(_pynenc, number=1)),
        ("Pynenc, two runners", "Two process runners of two workers each; defaults.", partial(_pynenc, number=2)),
        ("Celery", _docstring("mixed_celery_peer"), partial(_peer, "mixed_celery_peer", "celery")),
        (
            "Celery, for long tasks",
            _docstring("mixed_celery_fair_peer"),
            partial(_peer, "mixed_celery_fair_peer", "celery"),
        ),
        ("Dramatiq", _docstring("mixed_dramatiq_peer"), partial(_peer, "mixed_dramatiq_peer", "dramatiq")),
    ]


def _docstring(module: str) -> str:
    tree = ast.parse((PEERS / f"{module}.py").read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(tree) or "").split())


def _pynenc(tasks: int, *, number: int) -> tuple[float, Mapping[str, str]]:
    with (
        fresh_store(_STORE) as url,
        bench_client(url),
        runners(url, workers=SLOTS // number, number=number),
    ):
        # Warm, as a system is that has been running for a while.
        list(doze_and_return.parallelize([(0, SHORT_S)] * 100).results)
        begin = time.perf_counter()
        received = sum(doze_and_return.parallelize(list(enumerate(lengths(tasks)))).results)
        taken_s = time.perf_counter() - begin
    assert received == sum(range(tasks)), "a result is missing"
    return taken_s, {"pynenc": __version__}


def _peer(module: str, environment: str, tasks: int) -> tuple[float, Mapping[str, str]]:
    peer = Peer(_STORE, module, partial(python_of, environment))
    with tempfile.TemporaryDirectory(prefix="pynenc-bench-") as folder:
        try:
            peer.start(Path(folder), workers=_WORKERS)
            peer.run_all(10)
            begin = time.perf_counter()
            peer.run_all(tasks)
            return time.perf_counter() - begin, peer.versions
        finally:
            peer.stop()
