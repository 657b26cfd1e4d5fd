"""One queue that one session serves through the store's ports, in large batches."""

from __future__ import annotations

from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Claim, Exchange, Release, SessionInfo, SessionKind, Submission, Success, Verdict
from pynenc.ports.backend import Backend

_SUBMITTED_AT_ONCE = 1_000
_COMPLETED_AT_ONCE = 500
_EXPIRED_AT_ONCE = 1_000
_LEASE_US = 3_600_000_000
_ARGUMENTS = b"x" * 64


class OneQueue:
    """Tasks whose outcomes are kept for no time at all."""

    def __init__(self, backend: Backend) -> None:
        self._orchestrator = backend.orchestrator
        info = SessionInfo(kind=SessionKind.RUNNER, name="bench", host="", pid=0, slots=_COMPLETED_AT_ONCE)
        self._session = run(self._orchestrator.open_session(info, lease_us=_LEASE_US))

    def fill(self, number: int) -> None:
        """Submit so many calls."""
        for start in range(0, number, _SUBMITTED_AT_ONCE):
            size = min(_SUBMITTED_AT_ONCE, number - start)
            run(self._orchestrator.submit([_submission() for _ in range(size)]))

    def claim(self, number: int) -> tuple[Claim, ...]:
        """Claim up to so many calls."""
        return run(self._orchestrator.exchange(Exchange(session=self._session, want=number))).claims

    def hand_back(self, claims: tuple[Claim, ...]) -> None:
        """Let them be claimed again, at the place in the queue that they had."""
        back = tuple([Release(invocation_id=claim.invocation_id, epoch=claim.epoch) for claim in claims])
        run(self._orchestrator.exchange(Exchange(session=self._session, completions=back)))

    def finish(self) -> None:
        """Complete everything, and tick until nothing of it is due."""
        claims = self.claim(_COMPLETED_AT_ONCE)
        while claims:
            done = tuple([Success(invocation_id=c.invocation_id, epoch=c.epoch, result=b"1") for c in claims])
            request = Exchange(session=self._session, completions=done, want=_COMPLETED_AT_ONCE)
            reply = run(self._orchestrator.exchange(request))
            assert all(each.verdict is Verdict.ACCEPTED for each in reply.verdicts), "a completion was refused"
            claims = reply.claims
        while run(self._orchestrator.tick(budget=_EXPIRED_AT_ONCE)).more:
            pass


def _submission() -> Submission:
    return Submission(invocation_id=new_invocation_id(), task_id="bench.noop", arguments=_ARGUMENTS, retention_us=0)
