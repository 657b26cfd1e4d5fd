"""Gates on Redis: both builds of the scripts side by side, and damaged indexes of gates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from pynenc.backends.redis.codec import pack
from pynenc.backends.redis.scripts import load
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.gates import Flow, SlotGate
from pynenc.model.ids import SessionId, new_invocation_id
from pynenc.model.records import Claim, Exchange, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend
from tests.servers import RedisServer

ONE = SlotGate(key="k", limit=1)
TWO = SlotGate(key="two", limit=2)


def submit(backend: Backend, *gates: SlotGate, number: int = 1, flow: Flow | None = None) -> None:
    items = [
        Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"", gates=gates, flow=flow)
        for _ in range(number)
    ]
    run(backend.orchestrator.submit(items))


def runner(backend: Backend) -> SessionId:
    info = SessionInfo(kind=SessionKind.RUNNER, name="runner", host="host", pid=1)
    return run(backend.orchestrator.open_session(info, lease_us=60_000_000))


def exchange(backend: Backend, session: SessionId, *done: Claim, want: int = 10) -> tuple[Claim, ...]:
    completions = tuple(Success(invocation_id=each.invocation_id, epoch=each.epoch, result=b"") for each in done)
    return run(backend.orchestrator.exchange(Exchange(session=session, completions=completions, want=want))).claims


def drain(backend: Backend) -> int:
    """Run everything that is left; return how many that were."""
    session, number = runner(backend), 0
    claims = exchange(backend, session)
    while claims:
        number += len(claims)
        claims = exchange(backend, session, *claims)
    return number


def test_who_began_before_there_were_gates_heeds_them(server: RedisServer, backend: Backend) -> None:
    other = open_backend(server.url, app_id="app")
    session = runner(backend)
    submit(backend)
    first = exchange(backend, session)
    submit(other, ONE, number=3)

    second = exchange(backend, session, *first)

    assert (len(first), len(second)) == (1, 1)
    assert drain(other) == 0
    assert exchange(backend, session, *second) != ()
    assert run(backend.orchestrator.verify()) == []
    other.close()


def test_plain_submissions_stay_plain_beside_gated_ones(backend: Backend, client: redis.Redis) -> None:
    submit(backend, ONE, number=2)
    submit(backend, number=2)

    (plain,) = _names(client, "qdefault")
    assert client.zcard(plain) == 2
    assert drain(backend) == 4


def test_what_comes_while_a_limit_is_reached_waits_until_it_is_not(backend: Backend) -> None:
    session = runner(backend)
    submit(backend, ONE)
    running = exchange(backend, session)
    submit(backend, ONE)

    meanwhile = exchange(backend, session)
    afterwards = exchange(backend, session, *running)

    assert (len(running), len(meanwhile), len(afterwards)) == (1, 0, 1)
    assert run(backend.orchestrator.verify()) == []


def _names(client: redis.Redis, letter: str) -> list[bytes]:
    """Return the keys of the app that begin so."""
    names: list[bytes] = [name for name in client.scan_iter("*}:*") if isinstance(name, bytes)]
    return [name for name in names if name.partition(b"}:")[2].startswith(letter.encode())]


def _forget(letter: str) -> Callable[[redis.Redis], None]:
    def damage(client: redis.Redis) -> None:
        names = _names(client, letter)
        assert names, f"nothing begins with {letter}"
        client.delete(*names)

    return damage


def _let_a_stranger_in(client: redis.Redis) -> None:
    (units,) = _names(client, "Hslots:k")
    client.hset(units, b"s" * 16, client.hvals(units)[0])


DAMAGES: dict[str, Callable[[redis.Redis], None]] = {
    "no members": _forget("L"),
    "no lanes": _forget("M"),
    "no tokens": _forget("Q"),
    "no parked lanes": _forget("B"),
    "no units": _forget("H"),
    "nothing of gates": _forget("G"),
    "no gated invocations": _forget("A"),
    "a unit of nobody": _let_a_stranger_in,
}


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damaged_indexes_of_gates_are_named_and_mended(name: str, backend: Backend, client: redis.Redis) -> None:
    session = runner(backend)
    submit(backend, ONE, number=5)
    submit(backend, ONE, TWO, number=3)
    running = exchange(backend, session)
    submit(backend, TWO, number=2)
    submit(backend, flow=Flow("a"), number=2)
    DAMAGES[name](client)

    found = run(backend.orchestrator.verify(repair=True))

    assert len(running) == 1
    assert found != []
    assert run(backend.orchestrator.verify()) == []
    claims = exchange(backend, session, *running)
    number = len(running) + len(claims)
    while claims:
        claims = exchange(backend, session, *claims)
        number += len(claims)
    assert number == 12
    assert run(backend.orchestrator.verify()) == []


def _rebuild(client: redis.Redis, part: str, cursor: bytes = b"", budget: int = 1) -> bytes:
    """Do one piece of what a repair does; return where it goes on."""
    script = load("rebuild_gates", gated=True).text
    following: bytes = client.eval(script, 1, "{app}:", "", pack((part, cursor, budget)))
    return following


def _rebuild_all(client: redis.Redis, part: str) -> int:
    """Do a part of a repair in the smallest pieces; return how many these were."""
    number, cursor = 1, _rebuild(client, part)
    while cursor:
        number, cursor = number + 1, _rebuild(client, part, cursor)
    return number


def test_gates_are_rebuilt_in_pieces_and_keep_their_order(backend: Backend, client: redis.Redis) -> None:
    session = runner(backend)
    submit(backend, ONE, number=5)
    running = exchange(backend, session)
    submit(backend, ONE, TWO, number=2)
    _forget("M")(client)

    pieces = [_rebuild_all(client, "empty"), _rebuild_all(client, "enter")]
    submit(backend, ONE, number=2)
    meanwhile = exchange(backend, session)
    _rebuild_all(client, "end")

    assert (len(running), pieces, meanwhile) == (1, [8, 7], ())
    assert run(backend.orchestrator.verify()) == []
    claims, ranks = exchange(backend, session, *running), []
    while claims:
        ranks += [each.rank for each in claims]
        claims = exchange(backend, session, *claims)
    assert len(ranks) == 8
    assert ranks == sorted(ranks)


def test_a_rebuild_that_was_interrupted_is_begun_again(backend: Backend, client: redis.Redis) -> None:
    session = runner(backend)
    submit(backend, ONE, number=5)
    running = exchange(backend, session)
    submit(backend, number=1)
    _forget("G")(client)
    _rebuild(client, "empty", budget=3)

    plain = exchange(backend, session)
    client.hset("{app}:meta", "mending", 0)
    nothing = exchange(backend, session)
    found = run(backend.orchestrator.verify(repair=True))

    assert (len(running), len(plain), nothing) == (1, 1, ())
    assert found != []
    assert run(backend.orchestrator.verify()) == []
    claims, number = exchange(backend, session, *running, *plain), 1
    while claims:
        assert len(claims) == 1
        claims, number = exchange(backend, session, *claims), number + 1
    assert number == 5


def test_a_purge_of_everything_leaves_nothing_of_gates(backend: Backend, client: redis.Redis, tmp_path: Path) -> None:
    session = runner(backend)
    submit(backend, ONE, TWO, number=3)
    submit(backend, ONE, flow=Flow("a"), number=3)
    exchange(backend, session)

    run(backend.state_backend.purge())

    assert [name for letter in "ABFGHKLMQRf" for name in _names(client, letter)] == []
