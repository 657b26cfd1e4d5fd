"""Foreign and damaged data, missing rights, no memory: a clear error, and nothing is lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from pynenc import Pynenc
from pynenc.composition import open_backend
from pynenc.errors import ConfigurationError, PynencError, SchemaTooNew, StoreCorrupted, StoreFull, StoreUnavailable
from pynenc.invocation import DistributedInvocation
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Exchange, ExchangeReply, Failure, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend
from tests.servers import RedisServer

DAMAGES = 60


def double_of(number: int) -> int:
    return 2 * number


def submit(backend: Backend, number: int = 1, size: int = 1) -> list[bytes]:
    items = [Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"x" * size) for _ in range(number)]
    run(backend.orchestrator.submit(items))
    return [item.invocation_id for item in items]


def exchange(backend: Backend, want: int = 10) -> ExchangeReply:
    info = SessionInfo(kind=SessionKind.RUNNER, name="runner", host="host", pid=1)
    session = run(backend.orchestrator.open_session(info, lease_us=60_000_000))
    return run(backend.orchestrator.exchange(Exchange(session=session, want=want)))


def _submit_and_exchange(backend: Backend) -> None:
    submit(backend)
    exchange(backend)


@contextmanager
def setting(client: redis.Redis, name: str, value: str) -> Iterator[None]:
    """Change a setting of the server for a while."""
    before = str(client.config_get(name)[name])
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)


@pytest.mark.parametrize("damage", [b"", b"\xff\xff", b"{}", b"\x93\x01\x02\x03", b"not a record at all"])
def test_a_damaged_record_does_not_stop_its_queue_and_is_named(
    backend: Backend, client: redis.Redis, damage: bytes
) -> None:
    first, second = submit(backend, 2)
    client.set(b"{app}:i" + first, damage)

    claims = exchange(backend).claims

    assert [claim.invocation_id for claim in claims] == [second]
    assert any(each.invocation_id == first for each in run(backend.orchestrator.verify()))


def _forget_a_dead_letter(client: redis.Redis, index: str) -> None:
    client.zpopmin(index)


def _list_a_live_one(client: redis.Redis, index: str) -> None:
    client.zadd(index, {b"0" * 20 + b"f" * 16: 0})


@pytest.mark.parametrize("damage", [_forget_a_dead_letter, _list_a_live_one])
@pytest.mark.parametrize("index", ["{app}:z", "{app}:zdefault"])
def test_a_damaged_index_of_dead_letters_is_named_and_mended(
    backend: Backend, client: redis.Redis, damage: Callable[[redis.Redis, str], None], index: str
) -> None:
    submit(backend, 2)
    reply = exchange(backend)
    failed = tuple(
        Failure(invocation_id=each.invocation_id, epoch=each.epoch, error=b"", reason="broken") for each in reply.claims
    )
    run(backend.orchestrator.exchange(Exchange(session=reply.claims[0].session, completions=failed)))
    assert run(backend.orchestrator.verify()) == []
    before = client.zrange(index, 0, -1)
    damage(client, index)

    found = run(backend.orchestrator.verify(repair=True))

    assert [each.invariant for each in found] == ["I3"]
    assert run(backend.orchestrator.verify()) == []
    assert client.zrange(index, 0, -1) == before


@pytest.mark.parametrize("key", ["q" + "default", "t", "l", "all", "queues", "meta"])
def test_a_key_of_another_type_is_told_of_and_nothing_is_lost(backend: Backend, client: redis.Redis, key: str) -> None:
    known = submit(backend, 3)
    client.rename("{app}:" + key, "kept") if client.exists("{app}:" + key) else None
    client.set("{app}:" + key, "foreign")

    with pytest.raises(StoreCorrupted, match="another type"):
        _submit_and_exchange(backend)

    client.delete("{app}:" + key)
    client.rename("kept", "{app}:" + key) if client.exists("kept") else None
    assert {claim.invocation_id for claim in exchange(backend).claims} >= set(known)


@pytest.fixture
def app(server: RedisServer, client: redis.Redis) -> Iterator[Pynenc]:
    made = Pynenc(server.url, app_id="app", config_values={"max_threads": 2})
    yield made
    made.close()


def damage(client: redis.Redis, rng: random.Random, record: str, invocation: object) -> None:
    assert isinstance(invocation, DistributedInvocation)
    key = f"{{app}}:{record}".encode() + invocation.key
    original = client.get(key)
    assert isinstance(original, bytes)
    client.set(key, garbage(rng, original))


def garbage(rng: random.Random, original: bytes) -> bytes:
    """Return random bytes, or the original cut, doubled, or with some bit of it changed."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.randrange(0, 80))
    if kind == 1:
        return original[: rng.randrange(len(original))]
    if kind == 2:
        return original * 2
    changed = bytearray(original)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("record", ["c", "i"])
def test_calls_with_garbage_do_not_stop_those_that_are_sound(app: Pynenc, client: redis.Redis, record: str) -> None:
    rng = random.Random(record)
    double = app.task(double_of)
    damaged = list(double.parallelize([(n,) for n in range(DAMAGES)]))
    for invocation in damaged:
        damage(client, rng, record, invocation)
    sound = [double(n) for n in range(5)]

    with app.running():
        assert [each.get(timeout=20) for each in sound] == [2 * n for n in range(5)]
        assert double(50).get(timeout=60) == 100

    run(app.control.verify(repair=True))
    assert [each.get(timeout=20) for each in sound] == [2 * n for n in range(5)]


def test_outcomes_with_garbage_are_refused_and_leave_the_others_readable(app: Pynenc, client: redis.Redis) -> None:
    rng = random.Random("outcomes")
    double = app.task(double_of)
    with app.running():
        invocations = list(double.parallelize([(n,) for n in range(DAMAGES)]))
        assert all(each.wait(60) for each in invocations)
    kept, damaged = invocations[0], invocations[1:]
    for invocation in damaged:
        damage(client, rng, "o", invocation)

    refused = 0
    for invocation in damaged:
        try:
            value = app.get_invocation(invocation.invocation_id).get(timeout=0.1)
        except (PynencError, TimeoutError):
            refused += 1
        else:
            assert isinstance(value, int | str | list | dict | type(None))

    assert refused > DAMAGES // 3
    assert app.get_invocation(kept.invocation_id).get(timeout=60) == 0


def test_indexes_that_somebody_deleted_are_rebuilt_from_the_records(backend: Backend, client: redis.Redis) -> None:
    known = submit(backend, 5)
    client.delete("{app}:qdefault", "{app}:t")

    violations = run(backend.orchestrator.verify(repair=True))

    assert {each.invocation_id for each in violations} == set(known)
    assert run(backend.orchestrator.verify()) == []
    assert {claim.invocation_id for claim in exchange(backend).claims} == set(known)


def test_out_of_memory_refuses_submissions_whole_and_lets_work_go_on(
    server: RedisServer, backend: Backend, client: redis.Redis
) -> None:
    known = submit(backend, 20)
    used = client.info("memory")["used_memory"]

    with setting(client, "maxmemory", str(used)):
        with pytest.raises(StoreFull, match="out of memory"):
            submit(backend, 10, 10_000)
        assert run(backend.state_backend.count()) == len(known)
    assert run(backend.orchestrator.verify()) == []
    assert len(exchange(backend, 50).claims) == len(known)


def test_a_disk_that_cannot_be_written_is_told_of(backend: Backend, client: redis.Redis, server: RedisServer) -> None:
    submit(backend)
    with setting(client, "min-replicas-to-write", "1"), pytest.raises(StoreUnavailable):
        submit(backend)
    assert run(backend.state_backend.count()) == 1


def test_a_user_without_rights_is_told_which(server: RedisServer, client: redis.Redis) -> None:
    client.acl_setuser("weak", enabled=True, passwords=["+hunter2"], commands=["+ping"], keys=["other:*"])
    url = server.url.replace("redis://", "redis://weak:hunter2@")
    backend = open_backend(url, app_id="app")

    with pytest.raises(ConfigurationError, match="ACL user needs") as caught:
        submit(backend)
    backend.close()

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in backend.url


def test_a_user_with_the_rights_named_is_enough(server: RedisServer, client: redis.Redis) -> None:
    commands = ["+@all", "-@dangerous", "+info"]
    client.acl_setuser("enough", enabled=True, passwords=["+pw"], commands=commands, keys=["{app}:*"], channels=["*"])
    backend = open_backend(server.url.replace("redis://", "redis://enough:pw@"), app_id="app")

    known = submit(backend)

    assert [claim.invocation_id for claim in exchange(backend).claims] == known
    findings = {finding.subject: finding for finding in run(backend.diagnose())}
    backend.close()
    assert findings["settings"].level == "warning"


def test_a_newer_schema_is_refused(backend: Backend, client: redis.Redis) -> None:
    submit(backend)
    client.hset("{app}:meta", "schema", 99)

    with pytest.raises(SchemaTooNew, match="upgrade"):
        submit(backend)


def test_a_server_that_is_not_there_is_told_of() -> None:
    backend = open_backend("redis://127.0.0.1:1/0?call_timeout_s=0.3")

    with pytest.raises(StoreUnavailable, match=":1/0"):
        submit(backend)


def test_a_server_that_restarts_is_waited_for(server: RedisServer, backend: Backend) -> None:
    first = submit(backend)
    server.kill()
    server.restart()

    second = submit(backend)

    claims = exchange(backend).claims
    assert [claim.invocation_id for claim in claims] == [*first, *second]
    session = claims[0].session
    done = tuple(Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"") for claim in claims)
    run(backend.orchestrator.exchange(Exchange(session=session, completions=done)))
    assert run(backend.orchestrator.verify()) == []
