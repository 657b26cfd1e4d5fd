"""A runner for tests: the real engine and the real bodies, one step at a time, in a fixed order.

Each body runs in a thread of its own, but only one thread runs at any moment: the runner hands the baton to a
body and takes it back when the body ends or waits. So a test is as deterministic as its tasks, deep chains of
waits need no stack, and asynchronous bodies get a loop of their own.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pynenc.errors import RunnerStopped
from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelNotice,
    Claim,
    Completion,
    CompletionReply,
    Exchange,
    ExchangeReply,
    ProgressNote,
    SessionInfo,
    SessionKind,
    Started,
    Suspend,
    Verdict,
)
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.run_link import RunLink, WaitReply
from pynenc.ports.stopping import StopReason
from pynenc.runners.told_store import told

if TYPE_CHECKING:
    from pynenc.app import Pynenc

LEASE_US = 100 * 365 * 86_400_000_000
"""Tests jump over days at once: leases end when a test says so, not by the clock."""
_NAME = "InlineRunner"


class InlineRunner:
    """Claims one invocation at a time and runs it to its end or to its next wait."""

    def __init__(self, app: Pynenc) -> None:
        self._app = app
        self._control: Orchestrator = app.control
        self._store = self._control
        self._session: SessionId | None = None
        self._bodies: dict[InvocationId, _Body] = {}
        self._unsent: list[Completion] = []
        self._notes: list[ProgressNote] = []

    def run_until_idle(self, *, most: int = 100_000) -> int | None:
        """Run everything that can run now; return how long until something is due, in microseconds.

        Raises:
            AssertionError: more than `most` steps were needed: the tasks probably start each other for ever.
        """
        for _ in range(most):
            reply = self._exchange()
            if not (reply.claims or reply.resumed or reply.more or self._unsent):
                return reply.next_due_us
        raise AssertionError(f"still busy after {most} steps: do tasks submit each other without end?")

    def die(self) -> None:
        """Unwind every parked body, as the death of the process would; nothing they do reaches the store."""
        for body in list(self._bodies.values()):
            body.abandon()
        self._bodies.clear()

    def close(self) -> None:
        """Hand everything back in good order."""
        self.die()
        if self._session is not None:
            run(self._store.close_session(self._session))
            self._session = None

    def _exchange(self) -> ExchangeReply:
        if self._session is None:
            self._store = told(self._control, self._app.hooks, self._app.app_id)
            info = SessionInfo(kind=SessionKind.RUNNER, name=_NAME, host="localhost", pid=0, slots=1)
            self._session = run(self._store.open_session(info, lease_us=LEASE_US))
        sent, self._unsent = self._unsent, []
        notes, self._notes = self._notes, []
        reply = run(
            self._store.exchange(
                Exchange(session=self._session, completions=tuple(sent), progress=tuple(notes), want=1)
            )
        )
        for completion, verdict in zip(sent, reply.verdicts, strict=True):
            if isinstance(completion, Suspend):
                self._answer_wait(completion, verdict)
        for message in reply.inbox:
            if isinstance(message, CancelNotice):
                self._cancel(message)
        for resumed in reply.resumed:
            self._pass_on(resumed.invocation_id, WaitReply(outcomes=resumed.outcomes, timed_out=resumed.timed_out))
        for claim in reply.claims:
            self._start(claim)
        return reply

    def _start(self, claim: Claim) -> None:
        body = _Body(self._app, claim, self._notes)
        self._bodies[claim.invocation_id] = body
        started = Started(claim.invocation_id, claim.epoch)
        assert self._session is not None
        run(self._store.exchange(Exchange(session=self._session, started=(started,))))
        self._take(claim.invocation_id, body.begin())

    def _pass_on(self, invocation_id: InvocationId, reply: WaitReply) -> None:
        body = self._bodies.get(invocation_id)
        if body is not None:
            self._take(invocation_id, body.go_on(reply))

    def _answer_wait(self, suspend: Suspend, reply: CompletionReply) -> None:
        match reply.verdict:
            case Verdict.SATISFIED:
                self._pass_on(suspend.invocation_id, WaitReply(outcomes=reply.outcomes))
            case Verdict.WAIT_CYCLE:
                self._pass_on(suspend.invocation_id, WaitReply(cycle=reply.cycle))
            case Verdict.UNKNOWN:
                self._pass_on(suspend.invocation_id, WaitReply(unknown=reply.cycle))
            case Verdict.STALE | Verdict.ALREADY:
                self._drop(suspend.invocation_id)
            case _:
                pass

    def _cancel(self, notice: CancelNotice) -> None:
        # Only parked bodies can be told: the one that runs has the baton.
        self._drop(notice.invocation_id)

    def _drop(self, invocation_id: InvocationId) -> None:
        body = self._bodies.pop(invocation_id, None)
        if body is not None:
            body.abandon()

    def _take(self, invocation_id: InvocationId, completion: Completion) -> None:
        if not isinstance(completion, Suspend):
            del self._bodies[invocation_id]
        self._unsent.append(completion)


class _Body(RunLink):
    """One attempt in its thread, and its line to the runner."""

    runner_name = _NAME
    worker = 1

    def __init__(self, app: Pynenc, claim: Claim, notes: list[ProgressNote]) -> None:
        self._app = app
        self._claim = claim
        self._notes = notes
        self._to_body: queue.SimpleQueue[WaitReply | None] = queue.SimpleQueue()
        self._to_runner: queue.SimpleQueue[Completion | BaseException] = queue.SimpleQueue()
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=f"body-{claim.task_id}", daemon=True)

    # --- the runner's side ---

    def begin(self) -> Completion:
        self._thread.start()
        return self._next()

    def go_on(self, reply: WaitReply) -> Completion:
        self._to_body.put(reply)
        return self._next()

    def abandon(self) -> None:
        """Unwind the body if it has begun."""
        self._abandoned = True
        self._to_body.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _next(self) -> Completion:
        said = self._to_runner.get()
        if isinstance(said, BaseException):
            raise said
        return said

    # --- the body's side ---

    def _run(self) -> None:
        try:
            completion = contextvars.Context().run(self._app.execution.run, self._claim, self)
        except BaseException as error:  # noqa: BLE001 - handed to the runner, which raises it in the test
            self._to_runner.put(error)
        else:
            self._to_runner.put(completion)

    def wait(self, waits: Sequence[InvocationId], *, need: int, timeout_us: int | None) -> WaitReply:
        if self._abandoned:
            raise RunnerStopped("the runner of this test was killed")
        self._to_runner.put(
            Suspend(
                invocation_id=self._claim.invocation_id,
                epoch=self._claim.epoch,
                waits=tuple(waits),
                need=need,
                timeout_us=timeout_us,
                inherit=self._app.scheduler.inherits(self._claim.queue),
            )
        )
        reply = self._to_body.get()
        if reply is None:
            raise RunnerStopped("this run was cancelled, superseded, or its runner was killed")
        return reply

    async def await_(self, waits: Sequence[InvocationId], *, need: int, timeout_us: int | None) -> WaitReply:
        # Blocking the loop is right here: it belongs to this body alone.
        return self.wait(waits, need=need, timeout_us=timeout_us)

    def report(self, body: bytes) -> None:
        self._notes.append(ProgressNote(self._claim.invocation_id, self._claim.epoch, body))

    @property
    def stopping(self) -> StopReason | None:
        return None
