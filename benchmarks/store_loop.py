"""How fast a store is when nothing is around it: a bare loop that drives the engine's operations.

    python -m benchmarks.store_loop sqlite:////tmp/bench.db

Only public ports are used, so that any store can be measured. Numbers are medians of several runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.ids import SessionId, new_invocation_id
from pynenc.model.records import (
    Claim,
    Exchange,
    ExchangeReply,
    SessionInfo,
    SessionKind,
    Submission,
    Success,
    Verdict,
)
from pynenc.ports.backend import Backend

_LEASE_US = 600_000_000
_RESULT = b'{"codec":"json"}'


class Bench:
    """One store and one session that serves it."""

    def __init__(self, backend: Backend, payload: int) -> None:
        self.backend = backend
        self.control = backend.orchestrator
        self._arguments = b"a" * payload

    def reset(self) -> SessionId:
        """Empty the store and open a session."""
        run(self.backend.state_backend.purge())
        info = SessionInfo(kind=SessionKind.RUNNER, name="store_loop", host="localhost", pid=0)
        return run(self.control.open_session(info, lease_us=_LEASE_US))

    def submit(self, number: int, batch: int) -> float:
        """Submit `number` invocations in batches; return seconds."""
        batches = [
            [
                Submission(invocation_id=new_invocation_id(), task_id="bench.task", arguments=self._arguments)
                for _ in range(min(batch, number - done))
            ]
            for done in range(0, number, batch)
        ]
        begun = time.perf_counter()
        for items in batches:
            run(self.control.submit(items))
        return time.perf_counter() - begun

    def drain(self, session: SessionId, batch: int) -> tuple[int, float]:
        """Claim and complete until nothing is left; return how many invocations and seconds."""
        number = 0
        reply = self._exchange(session, (), batch)
        begun = time.perf_counter()
        while reply.claims:
            number += len(reply.claims)
            reply = self._exchange(session, reply.claims, batch)
            assert all(each.verdict is Verdict.ACCEPTED for each in reply.verdicts)
        return number, time.perf_counter() - begun

    def _exchange(self, session: SessionId, done: tuple[Claim, ...], want: int) -> ExchangeReply:
        completions = tuple(
            [Success(invocation_id=c.invocation_id, epoch=c.epoch, result=_RESULT, ran_us=5) for c in done]
        )
        return run(self.control.exchange(Exchange(session=session, completions=completions, want=want)))

    def claim_cost(self, session: SessionId, ready: int, *, rounds: int, batch: int) -> float:
        """Return the median seconds of one exchange that completes and claims while `ready` wait."""
        self.submit(ready, 1_000)
        reply = self._exchange(session, (), batch)
        costs = []
        for _ in range(rounds):
            begun = time.perf_counter()
            reply = self._exchange(session, reply.claims, batch)
            costs.append(time.perf_counter() - begun)
        return statistics.median(costs)

    def tick_cost(self, rounds: int) -> float:
        """Return the median seconds of a tick that finds nothing."""
        costs = []
        for _ in range(rounds):
            begun = time.perf_counter()
            run(self.control.tick(budget=32))
            costs.append(time.perf_counter() - begun)
        return statistics.median(costs)


def measure(bench: Bench, *, number: int, batches: list[int], ready: int, repeat: int) -> Iterator[tuple[str, str]]:
    """Yield (what, figure) as they come."""
    for batch in batches:
        some = max(batch, min(number, 300 * batch))
        submits, drains = [], []
        for _ in range(repeat):
            session = bench.reset()
            submits.append(some / bench.submit(some, batch))
            handled, seconds = bench.drain(session, batch)
            assert handled == some, f"{some} were submitted, {handled} came back"
            drains.append(handled / seconds)
        rate, both = statistics.median(submits), statistics.median(drains)
        yield f"submit, batch {batch}", f"{rate:>10,.0f} /s   {1e6 * batch / rate:>8,.0f} µs a call"
        yield f"complete + claim, batch {batch}", f"{both:>10,.0f} /s   {1e6 * batch / both:>8,.0f} µs a call"
    bench.reset()
    yield "tick that finds nothing", f"{1e6 * bench.tick_cost(1_000):>10.1f} µs"
    yield from _depth(bench, ready)


def _depth(bench: Bench, ready: int) -> Iterator[tuple[str, str]]:
    shallow = bench.claim_cost(bench.reset(), 1_000 + 31 * 20, rounds=30, batch=20)
    yield "claim + complete of 20, 1,000 READY", f"{1e6 * shallow:>10,.0f} µs a call"
    if ready:
        deep = bench.claim_cost(bench.reset(), ready, rounds=300, batch=20)
        ratio = f"{deep / shallow:.2f} times that"
        yield f"claim + complete of 20, {ready:,} READY", f"{1e6 * deep:>10,.0f} µs a call, {ratio}"


@contextmanager
def opened(url: str) -> Iterator[Backend]:
    """Open a store for the length of a block."""
    backend = open_backend(url)
    try:
        yield backend
    finally:
        backend.close()


def main(say: Callable[[str], None] = print) -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the store; it is emptied")
    parser.add_argument("--number", type=int, default=20_000, help="invocations per run (default: %(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100, 128], help="default: 1 10 100 128")
    parser.add_argument("--payload", type=int, default=200, help="bytes of arguments (default: %(default)s)")
    parser.add_argument("--ready", type=int, default=0, help="depth for the claim test, such as 1000000; 0: skip")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the median counts (default: %(default)s)")
    given = parser.parse_args()
    with opened(given.url) as backend:
        bench = Bench(backend, given.payload)
        for what, figure in measure(
            bench, number=given.number, batches=given.batches, ready=given.ready, repeat=given.repeat
        ):
            say(f"{what:<42}{figure}")


if __name__ == "__main__":
    main()
