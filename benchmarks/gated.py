"""What limits cost: gated work beside plain work, and claims while very much is blocked.

    python -m benchmarks.gated sqlite redis postgresql --peer

Only public ports are used, so that any store that declares gates can be measured. Throughput is that of submitting
everything and then claiming and completing it in batches of 100, alternately plain and gated; numbers are medians.
Claims beside much that is blocked are made in turn with claims in another place of the same store where nothing is, so
that what the server does besides, like rewriting its log, and how full it is, counts for both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.alone.places import NAMES, fresh_backend, fresh_store
from benchmarks.environments import PEERS, python_of
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.gates import SlotGate
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Claim, Exchange, Release, SessionInfo, SessionKind, Submission, Success, Verdict
from pynenc.ports.backend import Backend

_BATCH = 100
_KEYS = 10_000
_CLAIMED = 10
_CLAIMS = 200
_SUBMITTED_AT_ONCE = 1_000
_LEASE_US = 3_600_000_000

Gates = Callable[[int], dict[str, Any]]
"""Returns what the submission of this number carries."""


def plain(_: int) -> dict[str, Any]:
    return {}


def keyed(number: int) -> dict[str, Any]:
    """One of many keys, of each of which one runs at a time."""
    return {"gates": (SlotGate(key=f"key {number % _KEYS}", limit=1),)}


def one_lane(_: int) -> dict[str, Any]:
    """Behind the same closed gate, in one lane."""
    return {"gates": (SlotGate(key="closed", limit=1),)}


def many_lanes(number: int) -> dict[str, Any]:
    """Behind the same closed gate, each in a lane of its own."""
    return {"gates": (SlotGate(key="closed", limit=1), SlotGate(key=f"own {number}", limit=1))}


class Queue:
    """One queue, and a session that serves it."""

    def __init__(self, backend: Backend) -> None:
        run(backend.state_backend.purge())
        self._orchestrator = backend.orchestrator
        info = SessionInfo(kind=SessionKind.RUNNER, name="gated", host="", pid=0)
        self._session = run(self._orchestrator.open_session(info, lease_us=_LEASE_US))

    def submit(self, number: int, gates: Gates, *, batch: int = _SUBMITTED_AT_ONCE) -> float:
        """Submit so many; return seconds."""
        items = [
            Submission(invocation_id=new_invocation_id(), task_id="bench", arguments=b"a" * 200, **gates(each))
            for each in range(number)
        ]
        begun = time.perf_counter()
        for start in range(0, number, batch):
            run(self._orchestrator.submit(items[start : start + batch]))
        return time.perf_counter() - begun

    def drain(self) -> tuple[int, float]:
        """Claim and complete in batches until nothing is left; return how many and seconds."""
        number, claims = 0, self.claim(_BATCH)
        begun = time.perf_counter()
        while claims:
            number += len(claims)
            done = tuple([Success(invocation_id=c.invocation_id, epoch=c.epoch, result=b"1") for c in claims])
            reply = run(self._orchestrator.exchange(Exchange(session=self._session, completions=done, want=_BATCH)))
            assert all(each.verdict is Verdict.ACCEPTED for each in reply.verdicts), "a completion was refused"
            claims = reply.claims
        return number, time.perf_counter() - begun

    def claim(self, want: int) -> tuple[Claim, ...]:
        """Claim up to so many, past whatever is blocked."""
        while True:
            reply = run(self._orchestrator.exchange(Exchange(session=self._session, want=want)))
            if reply.claims or not reply.more:
                return reply.claims

    def claim_us(self) -> float:
        """Return the microseconds of claiming ten, which are handed back."""
        begun = time.perf_counter()
        claims = self.claim(_CLAIMED)
        seconds = time.perf_counter() - begun
        back = tuple([Release(invocation_id=claim.invocation_id, epoch=claim.epoch) for claim in claims])
        run(self._orchestrator.exchange(Exchange(session=self._session, completions=back)))
        return 1e6 * seconds


def throughput(backend: Backend, number: int, runs: int) -> Iterator[str]:
    """Compare plain work with work of many keys."""
    submitted: dict[str, list[float]] = {"plain": [], "gated": []}
    finished: dict[str, list[float]] = {"plain": [], "gated": []}
    for _ in range(runs):
        for name, gates in (("plain", plain), ("gated", keyed)):
            queue = Queue(backend)
            submitted[name].append(1e6 * queue.submit(number, gates, batch=_BATCH) / number)
            drained, seconds = queue.drain()
            assert drained == number, f"{number} were submitted, {drained} came back"
            finished[name].append(1e6 * seconds / number)
    whole = {}
    for name, times in submitted.items():
        submit_us, finish_us = statistics.median(times), statistics.median(finished[name])
        whole[name] = 1e6 / (submit_us + finish_us)
        yield f"{name}: submit {submit_us:.1f} µs, claim and complete {finish_us:.1f} µs, {whole[name]:,.0f} tasks/s"
    yield f"gated ({_KEYS:,} keys, limit 1) over plain: {100 * whole['gated'] / whole['plain']:.0f} %"


@contextmanager
def _beside(store: str, url: str) -> Iterator[Backend]:
    """Give another place of the store that is at this URL."""
    if store == "sqlite":
        with fresh_backend(store) as (_, backend):
            yield backend
        return
    backend = open_backend(url, app_id="beside")
    try:
        yield backend
    finally:
        backend.close()


def blocked(backend: Backend, other: Backend, number: int) -> Iterator[str]:
    """Compare claims of free work with and without very much that is blocked."""
    free = Queue(other)
    free.submit(1, one_lane)
    free.drain()
    free.submit(1_000, plain)
    for name, gates in (("one lane", one_lane), ("a lane each", many_lanes)):
        queue = Queue(backend)
        queue.submit(1, one_lane)
        (_,) = queue.claim(1)
        queue.submit(number, gates)
        queue.submit(1_000, plain)
        # Until everything that is blocked has been met once.
        queue.claim_us()
        none, many = zip(*((free.claim_us(), queue.claim_us()) for _ in range(_CLAIMS)), strict=True)
        none_us, many_us = statistics.median(none), statistics.median(many)
        figures = f"{many_us:,.0f} µs / {none_us:,.0f} µs = {many_us / none_us:.2f} x"
        yield f"claim of {_CLAIMED} with {number:,} blocked in {name}, over none blocked: {figures}"


def peer_blocked(number: int) -> str:
    """Tell the same of Procrastinate, whose locks are in the same PostgreSQL."""
    with fresh_store("postgresql") as url:
        done = subprocess.run(
            [python_of("procrastinate"), "blocked_procrastinate_peer.py", str(number)],
            cwd=PEERS,
            env={**os.environ, "PEER_URL": url},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1]}"
    none_us, many_us = map(float, done.stdout.split())
    return (
        f"fetch of 1 with {number:,} blocked by a lock, over none blocked: "
        f"{many_us:,.0f} µs / {none_us:,.0f} µs = {many_us / none_us:.2f} x"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", choices=NAMES)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--blocked", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", action="store_true", help="claims past what is blocked by Procrastinate, too")
    options = parser.parse_args()
    for store in options.stores:
        with fresh_backend(store) as (url, backend), _beside(store, url) as other:
            for line in (
                *throughput(backend, options.tasks, options.runs),
                *blocked(backend, other, options.blocked),
            ):
                print(f"{NAMES[store]}: {line}", flush=True)
    if options.peer:
        print(f"Procrastinate: {peer_blocked(options.blocked)}")


if __name__ == "__main__":
    main()
