"""What tests of this store say again and again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pynenc.backends.sqlite import SqliteBackend
from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import (
    Claim,
    Exchange,
    SessionInfo,
    SessionKind,
    Submission,
    Success,
)

LEASE_US = 60_000_000


def items(number: int, *, arguments: bytes = b"arguments", queue: str = "default") -> list[Submission]:
    """Return new submissions."""
    return [
        Submission(invocation_id=new_invocation_id(), task_id="a.task", arguments=arguments, queue=queue)
        for _ in range(number)
    ]


def submit(backend: SqliteBackend, number: int = 1, *, arguments: bytes = b"arguments") -> list[InvocationId]:
    """Submit new invocations in one unit; return their ids."""
    return [reply.invocation_id for reply in run(backend.orchestrator.submit(items(number, arguments=arguments)))]


def runner(backend: SqliteBackend, *, doorbell: str = "", queues: tuple[str, ...] = ()) -> SessionId:
    """Open a session of a runner."""
    info = SessionInfo(kind=SessionKind.RUNNER, name="runner", host="here", pid=1, doorbell=doorbell, queues=queues)
    return run(backend.orchestrator.open_session(info, lease_us=LEASE_US))


def successes(claims: Iterable[Claim]) -> tuple[Success, ...]:
    """Return completions of these claims."""
    return tuple(Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"result") for claim in claims)


def drain(backend: SqliteBackend, session: SessionId, *, want: int = 20) -> list[InvocationId]:
    """Claim and complete until nothing is left; return what was claimed."""
    done: list[InvocationId] = []
    reply = run(backend.orchestrator.exchange(Exchange(session=session, want=want)))
    while reply.claims:
        done += [claim.invocation_id for claim in reply.claims]
        request = Exchange(session=session, want=want, completions=successes(reply.claims))
        reply = run(backend.orchestrator.exchange(request))
    return done


def known(backend: SqliteBackend, ids: Sequence[InvocationId]) -> int:
    """Return how many of these the store knows."""
    return sum(status is not None for status in run(backend.state_backend.statuses(ids)))
