"""The processes of a simulation: runners with the real control loop, clients, tickers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from pynenc.errors import SessionGone, StoreUnavailable
from pynenc.io import Op
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    Exchange,
    FinishedNotice,
    Outcome,
    SessionInfo,
    SessionKind,
    Submission,
)
from pynenc.runners.waiting import Wait
from pynenc.testing.simulation.bells import SimulatedBell
from pynenc.testing.simulation.link import Link, Sleep
from pynenc.testing.simulation.scenario import CancelSome, PauseQueue, SetGate, Submit, Timed
from pynenc.testing.simulation.world import Process

T = TypeVar("T")


class Client:
    """Submits, cancels and pauses as its script says, then waits for everything it submitted.

    What it was told stays in `acknowledged` and `results`: promises the store has to keep.
    """

    def __init__(
        self,
        process: Process,
        link: Link,
        bell: SimulatedBell,
        script: tuple[Timed, ...],
        rng: Random,
        *,
        lease_us: int,
    ) -> None:
        self.process = process
        self._link = link
        self._bell = bell
        self._script = script
        self._rng = rng
        self._lease_us = lease_us
        self._session: SessionId | None = None
        self.acknowledged: list[InvocationId] = []
        self.results: dict[InvocationId, Outcome] = {}
        self.done = False

    def main(self) -> Op[None]:
        """Play the script to its end."""
        for timed in self._script:
            yield Sleep(timed.after_us)
            if isinstance(timed.action, Submit):
                yield from self._submit(timed.action.items)
            elif isinstance(timed.action, CancelSome):
                yield from self._cancel(timed.action)
            elif isinstance(timed.action, SetGate):
                yield from self._set_gate(timed.action)
            else:
                yield from self._pause(timed.action)
        yield from self._await_all()
        self.done = True

    def _insist(self, operation: Callable[[], Op[T]]) -> Op[T]:
        while True:
            try:
                return (yield from operation())
            except StoreUnavailable:
                yield Sleep(self._rng.randint(1_000, 100_000))

    def _submit(self, items: tuple[Submission, ...]) -> Op[None]:
        replies = yield from self._insist(lambda: self._link.submit(items))
        self.acknowledged += [reply.invocation_id for reply in replies if reply.verdict <= 2]

    def _cancel(self, action: CancelSome) -> Op[None]:
        yield from self._insist(lambda: self._link.cancel(action.ids, tree=action.tree, detail="by a client"))

    def _pause(self, action: PauseQueue) -> Op[None]:
        yield from self._insist(lambda: self._link.pause(action.queue, by="somebody", reason="to see"))
        yield Sleep(action.for_us)
        yield from self._insist(lambda: self._link.resume(action.queue))

    def _set_gate(self, action: SetGate) -> Op[None]:
        yield from self._insist(lambda: self._link.put_gate(action.setting))
        yield Sleep(action.for_us)
        yield from self._insist(lambda: self._link.clear_gate(action.setting.name))

    # --- waiting ---

    def _await_all(self) -> Op[None]:
        while self._missing():
            try:
                if self._session is None:
                    self._session = yield from self._insist(self._open)
                yield from self._insist(self._watch)
                while self._missing():
                    yield from self._listen()
            except SessionGone:
                self._session = None
            except StoreUnavailable:
                # Notices may have gone with the reply: ask again.
                yield Sleep(self._rng.randint(1_000, 100_000))
        if self._session is not None:
            session = self._session
            yield from self._insist(lambda: self._link.close_session(session))

    def _open(self) -> Op[SessionId]:
        info = SessionInfo(
            kind=SessionKind.CLIENT, name=self.process.name, host="sim", pid=0, doorbell=self._bell.address
        )
        return self._link.open_session(info, lease_us=self._lease_us)

    def _watch(self) -> Op[None]:
        assert self._session is not None
        reply = yield from self._link.watch(self._session, self._missing())
        self._read(reply.outcomes)

    def _listen(self) -> Op[None]:
        assert self._session is not None
        rung = yield Wait((self._bell.fileno(),), self._lease_us / 3e6)
        if rung:
            self._bell.clear()
        reply = yield from self._link.exchange(Exchange(session=self._session, tick_budget=0))
        self._read(notice.outcome for notice in reply.inbox if isinstance(notice, FinishedNotice))

    def _read(self, outcomes: object) -> None:
        for outcome in outcomes:  # type: ignore[attr-defined]  # any iterable of outcomes
            self.results.setdefault(outcome.invocation_id, outcome)

    def _missing(self) -> tuple[InvocationId, ...]:
        return tuple(dict.fromkeys(i for i in self.acknowledged if i not in self.results))


def ticker(link: Link, rng: Random) -> Op[None]:
    """Do what is due, every now and then."""
    while True:
        yield Sleep(rng.randint(20_000, 300_000))
        try:
            yield from link.tick(budget=rng.choice((1, 3, 64)))
        except StoreUnavailable:
            continue
