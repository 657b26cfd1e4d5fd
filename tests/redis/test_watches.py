"""Who is told of an end, when sessions that watched have ended themselves."""

from __future__ import annotations

import redis

from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import Exchange, FinishedNotice, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend


def opened(backend: Backend, kind: SessionKind = SessionKind.CLIENT) -> SessionId:
    info = SessionInfo(kind=kind, name="somebody", host="here", pid=1)
    return run(backend.orchestrator.open_session(info, lease_us=60_000_000))


def submitted(backend: Backend, number: int) -> list[InvocationId]:
    items = [Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"x") for _ in range(number)]
    run(backend.orchestrator.submit(items))
    return [item.invocation_id for item in items]


def complete_all(backend: Backend) -> None:
    runner = opened(backend, SessionKind.RUNNER)
    claims = run(backend.orchestrator.exchange(Exchange(session=runner, want=100))).claims
    done = tuple(Success(invocation_id=each.invocation_id, epoch=each.epoch, result=b"r") for each in claims)
    run(backend.orchestrator.exchange(Exchange(session=runner, completions=done)))


def told(backend: Backend, session: SessionId) -> list[InvocationId]:
    inbox = run(backend.orchestrator.exchange(Exchange(session=session))).inbox
    return [each.outcome.invocation_id for each in inbox if isinstance(each, FinishedNotice)]


def test_sessions_that_have_ended_are_passed_over_and_leave_nothing(backend: Backend, client: redis.Redis) -> None:
    ids = submitted(backend, 3)
    gone, first, second = (opened(backend) for _ in range(3))
    run(backend.orchestrator.watch(gone, ids))
    run(backend.orchestrator.watch(first, ids))
    run(backend.orchestrator.watch(second, ids[:1]))
    run(backend.orchestrator.close_session(gone))

    complete_all(backend)

    assert client.exists(f"{{app}}:x{gone}", "{app}:v") == 0
    assert told(backend, first) == ids
    assert told(backend, second) == ids[:1]


def test_a_watch_forgets_those_before_it_that_have_ended(backend: Backend, client: redis.Redis) -> None:
    [only] = submitted(backend, 1)
    for _ in range(5):
        passing = opened(backend)
        run(backend.orchestrator.watch(passing, [only]))
        run(backend.orchestrator.close_session(passing))
    lasting = opened(backend)

    run(backend.orchestrator.watch(lasting, [only]))

    assert client.hgetall("{app}:v") == {only: str(lasting).encode()}


def test_an_unusual_record_among_plain_ones_is_told_of_in_its_turn(backend: Backend) -> None:
    before = submitted(backend, 2)
    unusual = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"x", expires_us=60_000_000)
    run(backend.orchestrator.submit([unusual]))
    after = submitted(backend, 2)
    ids = [*before, unusual.invocation_id, *after]
    watcher = opened(backend)
    run(backend.orchestrator.watch(watcher, ids))

    complete_all(backend)

    assert told(backend, watcher) == ids
    assert run(backend.orchestrator.verify()) == []
