"""Notices that were lost with a reply, or that nobody sends any more: whoever waits gets the outcome all the same."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from pynenc.composition import open_backend
from pynenc.core import watches
from pynenc.core.client import Client
from pynenc.errors import StoreUnavailable
from pynenc.io import run
from pynenc.model.ids import InvocationId, SessionId, new_invocation_id
from pynenc.model.records import Exchange, FinishedNotice, Outcome, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend
from tests import servers, stores
from tests.faults.proxy import Cut, FaultyProxy

pytestmark = pytest.mark.faults

_HOUR_US = 3_600_000_000


class Scene:
    """One store, reached by a runner directly and by those who wait through a proxy."""

    def __init__(self, kind: str, url: str, app_id: str, proxy: FaultyProxy) -> None:
        self._kind, self._url, self._app_id = kind, url, app_id
        parts = urlsplit(url)
        through = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")).geturl()
        self.direct = open_backend(url, app_id=app_id)
        self.waiting = open_backend(through, app_id=app_id)
        self._runner = session_of(self.direct, SessionKind.RUNNER)

    def close(self) -> None:
        self.waiting.close()
        self.direct.close()

    def submit(self) -> InvocationId:
        item = Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"")
        run(self.direct.orchestrator.submit([item]))
        return item.invocation_id

    def finish(self, invocation_id: InvocationId) -> None:
        """Run the only one that waits."""
        exchange = self.direct.orchestrator.exchange
        (claim,) = run(exchange(Exchange(session=self._runner, want=1))).claims
        assert claim.invocation_id == invocation_id
        done = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"42")
        run(exchange(Exchange(session=self._runner, completions=(done,))))

    def forget_watches(self) -> None:
        """Take away what the store knows of watchers, as a crash of a server may."""
        if self._kind == "postgresql":
            with psycopg.connect(self._url, autocommit=True) as admin:
                admin.execute(f"DELETE FROM pynenc_{self._app_id}.watch")
            return
        with redis.Redis.from_url(self._url) as admin:
            for kind in ("v", "y"):
                for key in admin.scan_iter(match=f"{{{self._app_id}}}:{kind}*"):
                    admin.delete(key)


def session_of(backend: Backend, kind: SessionKind) -> SessionId:
    info = SessionInfo(kind=kind, name="somebody", host="host", pid=1)
    return run(backend.orchestrator.open_session(info, lease_us=_HOUR_US))


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Iterator[FaultyProxy]:
    parts = urlsplit(servers.url_of(request.getfixturevalue("kind")))
    with FaultyProxy("127.0.0.1", parts.port or 0) as running:
        yield running


@pytest.fixture(params=["redis", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def scene(kind: str, proxy: FaultyProxy, tmp_path: Path) -> Iterator[Scene]:
    with stores.fresh_url(kind, tmp_path) as (url, app_id):
        made = Scene(kind, url, app_id, proxy)
        yield made
        made.close()


def test_an_exchange_that_wants_nothing_is_not_sent_again_when_its_reply_is_lost(
    scene: Scene, proxy: FaultyProxy
) -> None:
    control = scene.waiting.orchestrator
    session = session_of(scene.waiting, SessionKind.CLIENT)
    invocation_id = scene.submit()
    run(control.watch(session, [invocation_id]))
    scene.finish(invocation_id)

    proxy.cut_next_reply(Cut.BEFORE_REPLY)
    with pytest.raises(StoreUnavailable):
        run(control.exchange(Exchange(session=session)))

    # The lost reply took the notice along: only watching again tells of it, and a second reply would have hidden that.
    assert proxy.cuts == 1
    assert run(control.exchange(Exchange(session=session))).inbox == ()
    assert [each.invocation_id for each in run(control.watch(session, [invocation_id])).outcomes] == [invocation_id]


def test_what_may_be_sent_again_survives_the_same_cut(scene: Scene, proxy: FaultyProxy) -> None:
    invocation_id = scene.submit()
    session = session_of(scene.waiting, SessionKind.CLIENT)

    proxy.cut_next_reply(Cut.BEFORE_REPLY)
    reply = run(scene.waiting.orchestrator.watch(session, [invocation_id]))

    assert proxy.cuts == 1
    scene.finish(invocation_id)
    inbox = run(scene.waiting.orchestrator.exchange(Exchange(session=session))).inbox
    assert (reply.outcomes, reply.unknown) == ((), ())
    assert [each.outcome.invocation_id for each in inbox if isinstance(each, FinishedNotice)] == [invocation_id]


def test_a_waiting_client_watches_again_though_nothing_tells_it_to(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "WATCH_AGAIN_S", 0.5)
    # With so long a lease no heartbeat wakes it.
    client = Client(scene.waiting.orchestrator, lease_us=_HOUR_US, name="client")
    arrived: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
    invocation_id = scene.submit()
    run(client.subscribe([invocation_id], arrived.put))

    scene.forget_watches()
    scene.finish(invocation_id)

    outcome = arrived.get(timeout=60)
    client.close()
    assert isinstance(outcome, Outcome)
    assert (outcome.invocation_id, outcome.payload) == (invocation_id, b"42")
