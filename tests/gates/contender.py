"""A process that claims from a store and writes down what it does, until everything has ended.

    python -m tests.gates.contender URL APP_ID RECORDS LEASE_US claim|hold

One line each, in the order of things: `start` and `end` of a run, its id, the process, an instant of the machine's
monotonic clock. Runs whose arguments are `again` fail once, and their retry is delayed. With `hold` it claims once,
says so on its standard output and only renews its lease from then on, until somebody kills it.
"""

from __future__ import annotations

import os
import select
import sys
import time

from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.ids import SessionId
from pynenc.model.records import Claim, Completion, Exchange, Retry, SessionInfo, SessionKind, Started, Success
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend
from pynenc.ports.doorbell import Doorbell

RETRY_AFTER_US = 5_000
_LONGEST_WAIT_S = 0.25
_FINAL = tuple(status for status in InvocationStatus if status.is_final())


class Contender:
    """One session, its bell and its record."""

    def __init__(self, backend: Backend, records: str, lease_us: int) -> None:
        self._backend = backend
        self._records = os.open(records, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._bell: Doorbell = backend.orchestrator.doorbell()
        info = SessionInfo(
            kind=SessionKind.RUNNER, name="contender", host="", pid=os.getpid(), doorbell=self._bell.address
        )
        self._session: SessionId = run(backend.orchestrator.open_session(info, lease_us=lease_us))

    def work(self, total: int) -> None:
        """Run what can be claimed until `total` invocations have ended."""
        done: tuple[Completion, ...] = ()
        while True:
            request = Exchange(session=self._session, completions=done, want=2, idle=True, tick_budget=32)
            reply = run(self._backend.orchestrator.exchange(request))
            done = tuple([self._run(claim) for claim in reply.claims])
            if not done and not reply.more:
                if self._ended() >= total:
                    return
                self._sleep(reply.next_due_us)

    def hold(self) -> None:
        """Claim one and keep it for as long as this process lives."""
        (claim,) = run(self._backend.orchestrator.exchange(Exchange(session=self._session, want=1))).claims
        begun = (Started(claim.invocation_id, claim.epoch, 1),)
        run(self._backend.orchestrator.exchange(Exchange(session=self._session, started=begun)))
        self._note("start", claim)
        print("holds", flush=True)
        while not select.select([sys.stdin], [], [], _LONGEST_WAIT_S)[0]:
            run(self._backend.orchestrator.exchange(Exchange(session=self._session)))

    def _run(self, claim: Claim) -> Completion:
        self._note("start", claim)
        # Something that takes a moment, on the store that everybody wants.
        run(self._backend.state_backend.statuses([claim.invocation_id]))
        self._note("end", claim)
        if claim.arguments == b"again" and claim.attempt == 1:
            return Retry(
                invocation_id=claim.invocation_id, epoch=claim.epoch, error=b"", delay_us=RETRY_AFTER_US, ran_us=1
            )
        return Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"", ran_us=1)

    def _note(self, what: str, claim: Claim) -> None:
        line = f"{what} {claim.invocation_id.hex()} {os.getpid()} {time.monotonic_ns()}\n"
        os.write(self._records, line.encode())

    def _ended(self) -> int:
        return run(self._backend.state_backend.count(statuses=_FINAL))

    def _sleep(self, next_due_us: int | None) -> None:
        wait_s = _LONGEST_WAIT_S if next_due_us is None else min(_LONGEST_WAIT_S, next_due_us / 1e6)
        descriptor = self._bell.fileno()
        select.select([descriptor] if descriptor >= 0 else [], [], [], wait_s)
        self._bell.clear()


def main(url: str, app_id: str, records: str, lease_us: str, how: str, total: str = "0") -> None:
    backend = open_backend(url, app_id=app_id)
    contender = Contender(backend, records, int(lease_us))
    if how == "hold":
        contender.hold()
    else:
        contender.work(int(total))
    backend.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
