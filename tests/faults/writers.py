"""Clients that write without pause and remember what they were told is done: the measure of what is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from msgspec import Struct

from pynenc.composition import open_backend
from pynenc.errors import SessionGone, StoreError
from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import Exchange, SessionInfo, SessionKind, Submission, Success, Verdict
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend

APP = "losses"
_LEASE_US = 60_000_000
_ROUNDS_A_SESSION = 25
_BATCH = 500


class Writers:
    """Threads that submit one invocation, claim one and settle it, again and again."""

    def __init__(self, url: str, number: int = 4) -> None:
        self._url = url
        self._over = threading.Event()
        self._changed = threading.Condition()
        self.submitted: set[InvocationId] = set()
        self.settled: set[InvocationId] = set()
        self.sessions: set[SessionId] = set()
        self.refusals = 0
        """Operations that the store did not acknowledge."""
        self._backends = [open_backend(url, app_id=APP) for _ in range(number)]
        self._threads = [threading.Thread(target=self._write, args=(each,)) for each in self._backends]
        for thread in self._threads:
            thread.start()

    @property
    def acknowledged(self) -> int:
        """Submissions and outcomes that somebody was told of."""
        return len(self.submitted) + len(self.settled)

    def wait_for(self, acknowledged: int = 0, refusals: int = 0) -> None:
        """Wait until so many are acknowledged, and so many refused. Raises TimeoutError."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: self.acknowledged >= acknowledged and self.refusals >= refusals, timeout=120
            )
        if not done:
            raise TimeoutError(f"{self.acknowledged} acknowledged, {self.refusals} refused")

    def halt(self) -> None:
        """Stop after the operation under way; connections stay open."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        self.halt()
        for backend in self._backends:
            backend.close()

    def _write(self, backend: Backend) -> None:
        session: SessionId | None = None
        rounds = 0
        while not self._over.is_set():
            try:
                if session is None or rounds % _ROUNDS_A_SESSION == 0:
                    session = self._open(backend)
                rounds += 1
                self._one_round(backend, session)
            except SessionGone:
                session = None
            except StoreError:
                with self._changed:
                    self.refusals += 1
                    self._changed.notify_all()
                # Short enough to be there again soon, long enough not to drown the others.
                self._over.wait(0.02)

    def _open(self, backend: Backend) -> SessionId:
        info = SessionInfo(kind=SessionKind.RUNNER, name="writer", host="h", pid=1)
        session = run(backend.orchestrator.open_session(info, lease_us=_LEASE_US))
        with self._changed:
            self.sessions.add(session)
        return session

    def _one_round(self, backend: Backend, session: SessionId) -> None:
        item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"x" * 50)
        run(backend.orchestrator.submit([item]))
        self._note(self.submitted, [item.invocation_id])
        claims = run(backend.orchestrator.exchange(Exchange(session=session, want=1))).claims
        done = tuple(Success(invocation_id=each.invocation_id, epoch=each.epoch, result=b"r") for each in claims)
        verdicts = run(backend.orchestrator.exchange(Exchange(session=session, completions=done))).verdicts
        ended = [
            each.invocation_id for each, reply in zip(done, verdicts, strict=True) if reply.verdict is Verdict.ACCEPTED
        ]
        self._note(self.settled, ended)

    def _note(self, known: set[InvocationId], ids: Iterable[InvocationId]) -> None:
        with self._changed:
            known.update(ids)
            self._changed.notify_all()


class Losses(Struct, frozen=True):
    """What a store no longer knows of what it had acknowledged."""

    submissions: int
    outcomes: int
    sessions: int
    """Session numbers that were handed out a second time."""
    violations: tuple[str, ...]
    """What is wrong with what is left."""


def losses(url: str, writers: Writers) -> Losses:
    """Compare what the writers were told with what the store says; everything, if it cannot even be read."""
    backend = open_backend(url, app_id=APP)
    try:
        statuses = _statuses(backend, sorted(writers.submitted | writers.settled))
        violations = tuple(str(each) for each in run(backend.orchestrator.verify()))
        info = SessionInfo(kind=SessionKind.CLIENT, name="judge", host="h", pid=1)
        numbers = {run(backend.orchestrator.open_session(info, lease_us=_LEASE_US)) for _ in range(50)}
    except StoreError as error:
        return Losses(len(writers.submitted), len(writers.settled), 0, (str(error),))
    finally:
        backend.close()
    return Losses(
        sum(statuses[each] is None for each in writers.submitted),
        sum(statuses[each] is not InvocationStatus.SUCCESS for each in writers.settled),
        len(numbers & writers.sessions),
        violations,
    )


def _statuses(backend: Backend, ids: Sequence[InvocationId]) -> dict[InvocationId, InvocationStatus | None]:
    found: dict[InvocationId, InvocationStatus | None] = {}
    for start in range(0, len(ids), _BATCH):
        some = ids[start : start + _BATCH]
        found.update(zip(some, run(backend.state_backend.statuses(some)), strict=True))
    return found
