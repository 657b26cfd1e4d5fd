"""Every way to reach a server: sockets, TLS, users, sentinels, a cluster; and what a URL may say."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pynenc.composition import open_backend
from pynenc.core.client import Client
from pynenc.errors import ConfigurationError
from pynenc.io import arun, run
from pynenc.model.ids import SessionId, new_invocation_id
from pynenc.model.records import Claim, Exchange, Outcome, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend
from tests.servers import RedisSentinels, RedisServer, url_of


def works(backend: Backend) -> bool:
    """Whether a submission comes back as a claim, blocking and on an event loop, and sleepers of both are rung."""
    bell = backend.orchestrator.doorbell()
    info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1, doorbell=bell.address)
    try:
        session = run(backend.orchestrator.open_session(info, lease_us=60_000_000))
        run(backend.orchestrator.exchange(Exchange(session=session, want=1, idle=True)))
        bell.clear()
        item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"")
        asyncio.run(_submit(backend, item))
        rung = _readable(bell.fileno())
        claims = run(backend.orchestrator.exchange(Exchange(session=session, want=1))).claims
        told = asyncio.run(_end_and_hear(backend, session, claims[0]))
        return rung and told and [claim.invocation_id for claim in claims] == [item.invocation_id]
    finally:
        bell.close()
        backend.close()


async def _submit(backend: Backend, item: Submission) -> None:
    await arun(backend.orchestrator.submit([item]))


async def _end_and_hear(backend: Backend, session: SessionId, claim: Claim) -> bool:
    client = Client(backend.orchestrator, lease_us=60_000_000, name="c")
    arrived: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()
    await client.asubscribe([claim.invocation_id], arrived.put_nowait)
    end = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"42")
    await arun(backend.orchestrator.exchange(Exchange(session=session, completions=(end,))))
    outcome = await asyncio.wait_for(arrived.get(), 10)
    await client.aclose()
    return isinstance(outcome, Outcome) and outcome.payload == b"42"


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 10)[0])


@pytest.mark.parametrize("name", ["redis", "redis-unix", "redis-sentinel", "redis-cluster"])
def test_a_place_is_reached(name: str) -> None:
    assert works(open_backend(url_of(name), app_id=f"places-{name}-{new_invocation_id().hex()}"))


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"))
    subprocess.run(["openssl", *command.split(), *files], check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def tls_port(certificates: Path, server: RedisServer) -> Iterator[int]:
    """A port of the server that speaks TLS."""
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    for name, value in (
        ("tls-cert-file", certificates / "cert.pem"),
        ("tls-key-file", certificates / "key.pem"),
        ("tls-ca-cert-file", certificates / "cert.pem"),
        ("tls-auth-clients", "no"),
        ("tls-port", port),
    ):
        try:
            server.ask("CONFIG", "SET", name, str(value))
        except redis.ResponseError as error:
            pytest.skip(f"this server has no TLS: {error}")
    yield port
    server.ask("CONFIG", "SET", "tls-port", "0")


def test_tls_is_spoken_and_checked(tls_port: int, certificates: Path) -> None:
    url = f"rediss://localhost:{tls_port}/0?call_timeout_s=2"

    assert works(open_backend(f"{url}&ssl_ca_certs={certificates / 'cert.pem'}", app_id="tls"))

    from pynenc.errors import StoreUnavailable

    with pytest.raises(StoreUnavailable, match="CERTIFICATE"):
        works(open_backend(url, app_id="tls"))


def test_a_failover_is_followed(tmp_path: Path) -> None:
    with RedisSentinels(tmp_path) as sentinels:
        backend = open_backend(f"{sentinels.url}?durability=replicated&call_timeout_s=30", app_id="failover")
        info = SessionInfo(kind=SessionKind.RUNNER, name="r", host="h", pid=1)
        session = run(backend.orchestrator.open_session(info, lease_us=600_000_000))
        item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"")
        run(backend.orchestrator.submit([item]))
        sentinels.fail_over()

        claims = run(backend.orchestrator.exchange(Exchange(session=session, want=1, tick_budget=0))).claims

        backend.close()
        assert [claim.invocation_id for claim in claims] == [item.invocation_id]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://host/one", "no number of a database"),
        ("redis://host/0?durabilty=full", "did you mean 'durability'"),
        ("redis://host/0?durability=sometimes", "none, normal, full, replicated"),
        ("redis://host/0?pool_size=many", "whole number"),
        ("redis://host:port/0", "no host and port"),
        ("redis+unix://", "names no socket"),
        ("redis+sentinel://host:26379", "names no master"),
        ("redis+cluster://host/3", "no numbered databases"),
        ("redis+cluster://host?durability=replicated", "min-replicas-to-write"),
        ("redis://host?ssl_ca_certs=x", "rediss://"),
        ("redis://host?namespace=a{b", "braces"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_backend(url)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("redis://me:secret@host/3", "redis://host:6379/3"),
        ("rediss://host", "rediss://host:6379/0"),
        ("redis+unix:///tmp/x.sock?db=2", "redis+unix:///tmp/x.sock?db=2"),
        ("redis+sentinel://:secret@a,b:1/main/4?sentinel_password=pw", "redis+sentinel://a:26379,b:1/main/4"),
        ("redis+cluster://a:1,b:2", "redis+cluster://a:1,b:2"),
    ],
)
def test_no_secret_is_in_what_is_shown(url: str, public: str) -> None:
    assert open_backend(url).url == public
