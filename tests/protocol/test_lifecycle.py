"""The lifecycle that is drawn is the one that invocations lead."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import pytest

from pynenc.backends.memory import MemoryBackend
from pynenc.core.history import derive_history
from pynenc.io import run
from pynenc.model.gates import Gate, GateMode, RateGate, SlotGate
from pynenc.model.ids import Epoch, InvocationId, SessionId, new_invocation_id
from pynenc.model.lifecycle import PHASES, arrivals, may_follow, render_svg, render_text
from pynenc.model.lifecycle_data import TRANSITIONS
from pynenc.model.records import (
    Cancelled,
    Completion,
    Crash,
    Exchange,
    Failure,
    ListFilter,
    Release,
    Retry,
    SessionInfo,
    SessionKind,
    Started,
    Submission,
    Success,
    Suspend,
)
from pynenc.model.status import InvocationStatus

Step = tuple[InvocationStatus | None, InvocationStatus]
_GATES = (
    SlotGate(key="few", limit=2),
    SlotGate(key="dropped", limit=1, mode=GateMode.REJECT),
    RateGate(key="slow", interval_us=1_500_000),
)


class Life:
    """Random operations on a memory store, as runners would ask for them: bodies are reported before they wait."""

    def __init__(self, seed: int, *, gates: Sequence[Gate] = ()) -> None:
        self.random = random.Random(seed)
        self.gates = gates
        self.now_us = 1_700_000_000_000_000
        self.backend = MemoryBackend(clock=lambda: self.now_us)
        self.store = self.backend.orchestrator
        self.ids: list[InvocationId] = []
        self.last: dict[InvocationId, InvocationStatus] = {}
        self.steps: set[Step] = set()

    def open_session(self) -> SessionId:
        info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, slots=4)
        return run(self.store.open_session(info, lease_us=10_000_000))

    def play(self, steps: int) -> None:
        session = self.open_session()
        for _ in range(steps):
            self.now_us += self.random.choice([1_000, 1_000, 1_000, 2_000_000, 11_000_000])
            run(self.store.tick(budget=100))
            self.look()
            kind = self.random.randrange(12)
            if kind < 4:
                self.submit()
            elif kind < 6 and self.ids:
                run(self.store.cancel([self.random.choice(self.ids[-5:])]))
            elif kind == 6:
                run(self.store.close_session(session))
            self.look()
            if not any(row.session == session for row in run(self.store.list_sessions())):
                session = self.open_session()
            self.settle(session)
            self.look()
            run(self.store.exchange(Exchange(session=session, want=self.random.randrange(4), tick_budget=0)))
            self.look()

    def look(self) -> None:
        """Note every status that differs from the last look: no operation in between makes two transitions."""
        for invocation_id, status in zip(self.ids, run(self.backend.state_backend.statuses(self.ids)), strict=True):
            before = self.last.get(invocation_id)
            if status is not None and status is not before:
                self.steps.add((before, status))
                self.last[invocation_id] = status

    def submit(self) -> None:
        self.ids.append(new_invocation_id())
        expires = self.random.choice([None, 1_500_000])
        item = Submission(
            invocation_id=self.ids[-1],
            task_id="t",
            arguments=b"",
            expires_us=expires,
            max_crashes=self.random.randrange(2),
            gates=tuple(gate for gate in self.gates if self.random.randrange(2)),
        )
        run(self.store.submit([item]))

    def settle(self, session: SessionId) -> None:
        started: list[Started] = []
        completions: list[Completion] = []
        for each in run(self.store.list_owned(session)):
            control = run(self.backend.state_backend.snapshots([each.invocation_id]))[0]
            begun = control is not None and control.control is not None and control.control.started_at_us is not None
            choice = self.random.randrange(3)
            if choice == 0 and not begun:
                started.append(Started(each.invocation_id, each.epoch))
            elif choice == 1 or (choice == 0 and begun):
                completions.append(self.completion(each.invocation_id, each.epoch, begun))
        request = Exchange(session=session, started=tuple(started), completions=tuple(completions), tick_budget=0)
        run(self.store.exchange(request))

    def completion(self, invocation_id: InvocationId, epoch: Epoch, begun: bool) -> Completion:
        kinds: list[Completion] = [
            Release(invocation_id=invocation_id, epoch=epoch),
            Crash(invocation_id=invocation_id, epoch=epoch),
        ]
        if begun:
            kinds += [
                Success(invocation_id=invocation_id, epoch=epoch, result=b""),
                Failure(invocation_id=invocation_id, epoch=epoch, error=b""),
                Retry(invocation_id=invocation_id, epoch=epoch, error=b""),
                Cancelled(invocation_id=invocation_id, epoch=epoch),
                Suspend(invocation_id=invocation_id, epoch=epoch, waits=(self.ids[-1],), timeout_us=1_000_000),
                Suspend(invocation_id=invocation_id, epoch=epoch, waits=(self.ids[-1],)),
            ]
        return self.random.choice(kinds)

    def told(self) -> Iterator[Step]:
        """Yield every change of status that histories tell of."""
        for snapshot in run(self.backend.state_backend.listing(ListFilter(limit=10_000))):
            before: InvocationStatus | None = None
            for entry in run(derive_history(self.backend, snapshot)):
                yield before, entry.status
                before = entry.status


@pytest.fixture(scope="module")
def seen() -> set[Step]:
    steps: set[Step] = set()
    for seed in range(60):
        life = Life(seed, gates=_GATES if seed % 3 else ())
        life.play(120)
        steps |= life.steps | set(life.told())
    return steps


def test_no_invocation_leaves_the_lifecycle(seen: set[Step]) -> None:
    assert {(before, after) for before, after in seen if not may_follow(before, after)} == set()


def test_every_transition_of_the_lifecycle_happens(seen: set[Step]) -> None:
    listed = {(before, after) for before, after, why in TRANSITIONS if why != "requeued"}

    assert listed - seen == set()


def test_what_follows_follows_from_the_data() -> None:
    assert may_follow(None, InvocationStatus.REGISTERED)
    assert may_follow(InvocationStatus.PENDING, InvocationStatus.SUCCESS)
    assert not may_follow(InvocationStatus.SUCCESS, InvocationStatus.RUNNING)
    assert not may_follow(InvocationStatus.REGISTERED, InvocationStatus.RUNNING)
    assert may_follow(None, InvocationStatus.CONCURRENCY_CONTROLLED)
    assert may_follow(InvocationStatus.RUNNING, InvocationStatus.CONCURRENCY_CONTROLLED)
    assert not may_follow(InvocationStatus.CONCURRENCY_CONTROLLED, InvocationStatus.RUNNING)


def test_the_text_names_every_status_once_with_all_its_arrivals() -> None:
    lines = render_text().splitlines()

    for status in InvocationStatus:
        assert [line.split()[0] for line in lines if line.startswith("  ")].count(status.name) == 1
    for statuses in PHASES.values():
        for status in statuses:
            assert all(any(line.endswith(f"← {each}") for line in lines) for each in arrivals(status))


def test_the_drawing_is_well_formed_and_shows_every_status() -> None:
    root = ElementTree.fromstring(render_svg())

    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]

    assert all(status.name in texts for status in InvocationStatus)
