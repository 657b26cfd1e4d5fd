"""What a store allows: the engine's operations, driven by a loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.services import fresh_url
from benchmarks.system import System, seconds_of_each
from pynenc import __version__
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import Exchange, SessionInfo, SessionKind, Submission, Success, Verdict
from pynenc.ports.backend import Backend

BATCH = 100
"""Calls that one operation takes: what `parallelize` sends at once by default."""
_ARGUMENTS, _RESULT = b'{"value":12345}', b"12345"
_LEASE_US = 3_600_000_000


class BareStore(System):
    """The limit: one process submits, claims, completes and reads outcomes through the same operations, 100 calls
    each, then does nothing else. No runner, no worker process, no serializer, no wake-up."""

    def __init__(self, store: str, *, app_id: str = "bench") -> None:
        self.store = store
        self._app_id = app_id
        self.versions: Mapping[str, str] = {"pynenc": __version__}
        self._backend: Backend | None = None

    def start(self, folder: Path, *, workers: int) -> None:
        self.open(fresh_url(self.store, folder, "bare"))

    def open(self, url: str) -> None:
        """Open a store that is there already, beside what else uses it."""
        self._backend = open_backend(url, app_id=self._app_id)
        self._session = self._open_session()

    def submit_one_by_one(self, number: int) -> None:
        self._submit(number, 1)

    def submit_bulk(self, number: int) -> None:
        self._submit(number, BATCH)

    def run_all(self, number: int) -> None:
        ids = self._submit(number, BATCH)
        self._complete(BATCH)
        state = self._store.state_backend
        found = [outcome for some in _parts(ids, BATCH) for outcome in run(state.outcomes(some))]
        assert all(outcome is not None and outcome.payload == _RESULT for outcome in found), "a result is missing"

    def round_trips(self, number: int, *, pause_s: float) -> list[float]:
        return seconds_of_each(self.round_trip, number, pause_s)

    def round_trip(self) -> None:
        """Submit, claim, complete and fetch one call: four operations."""
        [invocation_id] = self._submit(1, 1)
        self._complete(1, at_most=1)
        [outcome] = run(self._store.state_backend.outcomes([invocation_id]))
        assert outcome is not None, "a result is missing"

    def stop(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            run(backend.orchestrator.close_session(self._session))
            backend.close()

    @property
    def _store(self) -> Backend:
        assert self._backend is not None, "start() comes first"
        return self._backend

    def _open_session(self) -> SessionId:
        info = SessionInfo(kind=SessionKind.RUNNER, name="bare", host="", pid=0, slots=BATCH)
        return run(self._store.orchestrator.open_session(info, lease_us=_LEASE_US))

    def _submit(self, number: int, batch: int) -> list[InvocationId]:
        ids = [new_invocation_id() for _ in range(number)]
        for some in _parts(ids, batch):
            run(self._store.orchestrator.submit([_submission(each) for each in some]))
        return ids

    def _complete(self, batch: int, at_most: int | None = None) -> None:
        """Claim and complete, `at_most` so many or until nothing is left."""
        exchange = self._store.orchestrator.exchange
        completions: tuple[Success, ...] = ()
        done = 0
        while True:
            want = batch if at_most is None else min(batch, at_most - done)
            reply = run(exchange(Exchange(session=self._session, completions=completions, want=want)))
            assert all(each.verdict is Verdict.ACCEPTED for each in reply.verdicts), "a completion was refused"
            completions = tuple(
                [Success(invocation_id=c.invocation_id, epoch=c.epoch, result=_RESULT) for c in reply.claims]
            )
            if not completions:
                return
            done += len(completions)


def _submission(invocation_id: InvocationId) -> Submission:
    return Submission(invocation_id=invocation_id, task_id="bench.noop", arguments=_ARGUMENTS)


def _parts(ids: Sequence[InvocationId], size: int) -> Iterator[Sequence[InvocationId]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
