"""Purge and retention of very many go in parts of a bounded size, and others get their turn between any two."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pynenc.io import Op, run
from pynenc.model.ids import InvocationId, new_invocation_id
from pynenc.model.records import Exchange, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend
from pynenc.testing.clock import FakeClock
from tests import stores

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FINISHED = 50_000
DATA = 1_200
MOST_IN_A_PART = 500
TICK_BUDGET = 400
HOUR_US = 3_600_000_000

_names = count()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["redis", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Backend]:
    with stores.fresh_store(request.param, tmp_path, clock) as opened:
        yield opened


def finish(store: Backend, number: int, retention_us: int | None) -> list[InvocationId]:
    """Submit, claim and end so many."""
    session = runner_of(store)
    ids = []
    for _ in range(0, number, MOST_IN_A_PART):
        some = [new_invocation_id() for _ in range(MOST_IN_A_PART)]
        submit(store, some, retention_us)
        end(store, session, MOST_IN_A_PART)
        ids += some
    run(store.orchestrator.close_session(session))
    return ids


def runner_of(store: Backend) -> Any:
    info = SessionInfo(kind=SessionKind.RUNNER, name=f"runner-{next(_names)}", host="host", pid=1)
    return run(store.orchestrator.open_session(info, lease_us=24 * HOUR_US))


def submit(store: Backend, ids: list[InvocationId], retention_us: int | None = None) -> None:
    items = [Submission(invocation_id=each, task_id="t", arguments=b"x", retention_us=retention_us) for each in ids]
    run(store.orchestrator.submit(items))


def end(store: Backend, session: Any, want: int) -> list[InvocationId]:
    """Claim what waits and end it; return what that was."""
    claims = run(store.orchestrator.exchange(Exchange(session=session, want=want, tick_budget=0))).claims
    done = tuple(Success(invocation_id=each.invocation_id, epoch=each.epoch, result=b"r") for each in claims)
    run(store.orchestrator.exchange(Exchange(session=session, completions=done, tick_budget=0)))
    return [each.invocation_id for each in claims]


class Parts:
    """Performs an operation request by request, and looks at what each of them took away.

    Between two of them somebody submits, and a runner gets what was submitted: each part gave everything free again.
    """

    def __init__(self, store: Backend) -> None:
        self._store = store
        self._session = runner_of(store)
        self._known = run(store.state_backend.count())
        self.sizes: list[int] = []
        self.between = 0

    def perform(self, op: Op[Any]) -> Any:
        request = next(op)
        while True:
            reply = request.send()
            left = run(self._store.state_backend.count())
            self.sizes.append(self._known - left)
            self._known = left
            if len(self.sizes) % 10 == 0:
                self._use()
            try:
                request = op.send(reply)
            except StopIteration as finished:
                return finished.value

    def _use(self) -> None:
        newcomer = new_invocation_id()
        submit(self._store, [newcomer])
        assert end(self._store, self._session, 5) == [newcomer]
        self.between += 1
        self._known += 1


def test_retention_and_purge_take_bounded_parts_and_leave_room_between_them(store: Backend, clock: FakeClock) -> None:
    finish(store, FINISHED // 2, HOUR_US)
    kept = finish(store, FINISHED // 2, None)
    for number in range(DATA):
        run(store.client_data_store.put(number.to_bytes(32), b"data"))
    clock.advance(2 * 3_600)

    retention = Parts(store)
    while retention.perform(store.orchestrator.tick(budget=TICK_BUDGET)).more:
        pass
    chosen = Parts(store)
    went = chosen.perform(store.state_backend.purge(kept[: FINISHED // 10]))
    rest = Parts(store)
    everything = rest.perform(store.state_backend.purge(None))

    assert sum(retention.sizes) == FINISHED // 2
    assert max(retention.sizes) <= TICK_BUDGET
    assert went == sum(chosen.sizes) == FINISHED // 10
    assert max(chosen.sizes) <= MOST_IN_A_PART
    assert everything == sum(rest.sizes) == FINISHED * 4 // 10 + retention.between + chosen.between + rest.between
    assert max(rest.sizes) <= MOST_IN_A_PART
    # The last ones took client data away.
    assert len(rest.sizes) > (everything + DATA) // MOST_IN_A_PART
    assert min(retention.between, chosen.between, rest.between) > 0
    assert run(store.client_data_store.get((DATA - 1).to_bytes(32))) is None
    assert run(store.state_backend.count()) == 0
    assert run(store.orchestrator.verify()) == []
