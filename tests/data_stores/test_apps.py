"""Apps with a client data store of their own: what users see of it, over every store of invocations."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.composition import open_backend
from pynenc.data_stores.folder import FolderPlace
from pynenc.data_stores.objects import ObjectDataStore
from pynenc.data_stores.opening import open_data_store
from pynenc.errors import ConfigurationError, ResultNotKept, SerializationError, StoreUnavailable
from pynenc.io import Op, run
from pynenc.model.ids import parse_id
from pynenc.model.records import ListFilter
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.runners.collector import DataCollector
from tests import data_places, stores
from tests.data_stores import data_app
from tests.data_stores.data_app import LARGE
from tests.faults.proxy import FaultyProxy

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "shared"
    place.mkdir()
    return place


@pytest.fixture
def app(folder: Path, tmp_path: Path) -> Iterator[Pynenc]:
    """Return an app whose large values are in `folder`."""
    app = Pynenc(
        f"sqlite:///{tmp_path / 'app.db'}",
        app_id="tests",
        client_data_store=f"file://{folder}",
        config_values={"runner_cls": "ThreadRunner"},
    )
    yield app
    app.close()


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "owner")


def size_of(backend: Backend) -> int:
    """Return how many bytes of arguments, results and client data the store of invocations holds."""
    state = run(backend.dump())
    data = run(backend.transfer.data_out(None, 1_000))
    return len(repr(state)) + sum(len(each.data) for each in data)


# --- every store of invocations with every client data store ---


@pytest.fixture(params=stores.ALL)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with stores.fresh_store(request.param, tmp_path) as store:
        yield store


@pytest.mark.parametrize("kind", ["own", *data_places.APART])
def test_large_arguments_and_results_go_through_any_pair_of_stores(
    backend: Backend, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_places.log_in(monkeypatch)
    url = "" if kind == "own" else data_places.fresh_data_url(kind, tmp_path)
    app = Pynenc(app_id="tests", client_data_store=url or None, config_values={"runner_cls": "ThreadRunner"})
    app.use_backend(backend)
    double = app.task(data_app.double.func)
    text = "large " * (LARGE // 6)

    with app.running():
        results = [double(text + str(number)) for number in range(2)]
        assert [each.get(timeout=60) for each in results] == [(text + str(number)) * 2 for number in range(2)]

    grown = size_of(backend)
    app.close()
    if kind == "own":
        assert grown > 6 * LARGE
    else:
        assert grown < 20_000


# --- runners ---


@pytest.mark.parametrize("runner", ["ProcessRunner", "AsyncRunner"])
def test_every_runner_reads_arguments_and_keeps_results(runner: str, folder: Path, tmp_path: Path) -> None:
    app = data_app.app
    app.conf.client_data_store = f"file://{folder}"
    app.conf.runner_cls = runner
    app.conf.num_processes = 1
    app.use_backend(open_backend(f"sqlite:///{tmp_path / 'app.db'}", app_id="data_tests"))
    app.conf.url = f"sqlite:///{tmp_path / 'app.db'}"
    try:
        with app.running():
            assert data_app.double_async("ab" * LARGE).get(timeout=60) == "ab" * LARGE * 2
        assert len(files_in(folder)) == 2
    finally:
        app.release_backend()
        app.conf.client_data_store = ""


def test_a_runner_says_at_its_start_what_is_wrong_with_the_url() -> None:
    app = Pynenc("memory://", client_data_store="ftp://x", config_values={"runner_cls": "ThreadRunner"})

    with pytest.raises(ConfigurationError, match="no client data store that Pynenc knows"):
        app.runner.start()

    assert not app.runner.is_running


def test_what_many_calls_share_is_one_object(app: Pynenc, folder: Path) -> None:
    measure = app.task(data_app.measure.func)

    group = measure.parallelize([{"mark": str(number)} for number in range(50)], common_args={"text": "x" * LARGE})
    with app.running():
        assert list(group.results) == [LARGE] * 50

    assert len(files_in(folder)) == 1


def test_what_many_calls_share_stays_with_them_unless_it_is_large(app: Pynenc, folder: Path) -> None:
    measure = app.task(data_app.measure.func)

    group = measure.parallelize([{"mark": str(number)} for number in range(5)], common_args={"text": "x" * 5_000})
    with app.running():
        assert list(group.results) == [5_000] * 5

    assert files_in(folder) == []


def test_a_cancelled_run_does_not_go_on_waiting_for_its_result_to_be_kept(folder: Path) -> None:
    app, moody = moody_app(folder)
    make = app.task(data_app.make.func)

    moody.failures = 1_000_000
    with app.running():
        waiting = make(LARGE, "x")
        assert moody.failed.acquire(timeout=60)
        waiting.cancel()
        assert waiting.wait(60)

    assert waiting.status is InvocationStatus.CANCELLED


def test_submitting_from_an_event_loop_does_not_hold_it_up(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(ObjectDataStore):
        def _put(self, key: bytes, data: bytes) -> bytes:
            entered.set()
            assert go_on.wait(60)
            return super()._put(key, data)

    app = Pynenc("memory://", client_data_store=Slow(FolderPlace(str(tmp_path)), owner="memory://"))
    double = app.task(data_app.double.func)

    async def submit() -> str:
        submitting = asyncio.create_task(double.acall("x" * LARGE))
        # The loop goes round while the value is being written.
        await asyncio.to_thread(entered.wait)
        assert not submitting.done()
        go_on.set()
        return (await submitting).invocation_id

    assert asyncio.run(submit())
    app.close()


# --- beginning and ceasing to use one ---


def test_an_app_reads_what_it_kept_before_it_had_a_client_data_store(folder: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'app.db'}"
    before = Pynenc(url, app_id="tests")
    invocation_id = before.task(data_app.double.func)("x" * LARGE).invocation_id
    before.close()

    app = Pynenc(url, app_id="tests", client_data_store=f"file://{folder}")
    app.task(data_app.double.func)
    with app.running():
        assert app.get_invocation(invocation_id).get(timeout=60) == "x" * LARGE * 2
    app.close()


def test_an_app_that_does_not_name_the_store_is_told_to(app: Pynenc, folder: Path) -> None:
    double = app.task(data_app.double.func)
    with app.running():
        done = double("x" * LARGE)
        done.get(timeout=60)

    app.close()
    app.conf.client_data_store = ""
    other = Pynenc(app.conf.url, app_id="tests")
    other.task(data_app.double.func)

    with pytest.raises(ConfigurationError, match="set client_data_store to the URL"):
        other.get_invocation(done.invocation_id).get(timeout=60)
    other.close()


# --- what does not answer ---


def test_a_submission_whose_values_cannot_be_kept_creates_nothing(app: Pynenc, folder: Path) -> None:
    double = app.task(data_app.double.func)
    folder.rename(folder.with_name("away"))

    with pytest.raises(StoreUnavailable, match="mount it, make it, or correct client_data_store"):
        double("x" * LARGE)
    with pytest.raises(StoreUnavailable):
        double.parallelize([("small",), ("x" * LARGE,)])

    assert run(app.backend.state_backend.count()) == 0


def test_a_submitter_that_is_killed_after_its_value_was_kept_leaves_only_that(app: Pynenc, folder: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pynenc import Pynenc\n"
        "app = Pynenc(sys.argv[1], app_id='tests', client_data_store=sys.argv[2])\n"
        "app.control.submit = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "@app.task\n"
        "def double(text): ...\n"
        "double('x' * 200_000)\n"
    )

    died = subprocess.run([sys.executable, "-c", script, app.conf.url, f"file://{folder}"], check=False)

    assert died.returncode == -signal.SIGKILL
    assert run(app.backend.state_backend.count()) == 0
    (left,) = files_in(folder)
    assert app.collect_client_data() == 0
    left.parent.parent.rename(left.parent.parent.with_name("2026-01-01"))
    assert app.collect_client_data() == 1
    assert files_in(folder) == []


class Moody(ClientDataStore):
    """In front of the store in a folder: fails as often as it is told to."""

    def __init__(self, folder: Path) -> None:
        self._inner = open_data_store(f"file://{folder}", app_id="tests", owner="memory://")
        self.failures = 0
        self.fails_reading = False
        self.failed = threading.Semaphore(0)

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        self._answer()
        return self._inner.put(key, data)

    def get(self, reference: bytes) -> Op[bytes | None]:
        if self.fails_reading:
            self.failures = 1
        self._answer()
        return self._inner.get(reference)

    def collect(self, *, before_us: int) -> Op[int]:
        return self._inner.collect(before_us=before_us)

    def _answer(self) -> None:
        if self.failures:
            self.failures -= 1
            self.failed.release()
            raise StoreUnavailable("it is out for lunch")


def moody_app(folder: Path, **settings: Any) -> tuple[Pynenc, Moody]:
    moody = Moody(folder)
    return Pynenc("memory://", client_data_store=moody, config_values={"runner_cls": "ThreadRunner", **settings}), moody


@pytest.mark.parametrize("name", ["make", "make_async"])
def test_a_result_waits_for_its_store_and_its_body_runs_once(folder: Path, name: str) -> None:
    app, moody = moody_app(folder)
    runs = []

    @app.task
    def make(size: int) -> str:
        runs.append(size)
        return "x" * size

    @app.task
    async def make_async(size: int) -> str:
        runs.append(size)
        return "x" * size

    moody.failures = 3
    app.conf.runner_cls = "ThreadRunner" if name == "make" else "AsyncRunner"
    with app.running():
        assert app.tasks[f"{make.task_id.rpartition('.')[0]}.{name}"](LARGE).get(timeout=60) == "x" * LARGE

    assert runs == [LARGE]
    assert moody.failures == 0


def test_a_result_outlasts_a_bucket_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_places.log_in(monkeypatch)
    url = data_places.fresh_data_url("s3", tmp_path)
    endpoint = url.partition("endpoint=")[2].partition("&")[0]
    host, port = endpoint.removeprefix("http://").split(":")
    with FaultyProxy(host, int(port)) as proxy:
        away = url.replace(endpoint, f"http://127.0.0.1:{proxy.port}") + "&attempts=1&call_timeout_s=0.2"
        app = Pynenc("memory://", client_data_store=away, config_values={"runner_cls": "ThreadRunner"})
        runs: list[str] = []

        @app.task
        def make(letter: str) -> str:
            proxy.hold()
            runs.append(letter)
            return letter * LARGE

        with waiting_for_a_line("keeping the result of") as said, app.running():
            result = make("x")
            assert said.wait(60)
            proxy.heal()
            assert result.get(timeout=60) == "x" * LARGE

        assert runs == ["x"]
        app.close()


@contextmanager
def waiting_for_a_line(begin: str) -> Iterator[threading.Event]:
    """Give what is set once a line that begins so was logged."""
    said = threading.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith(begin):
                said.set()

    watch = Watch()
    logger = logging.getLogger("pynenc.core.patience")
    logger.addHandler(watch)
    try:
        yield said
    finally:
        logger.removeHandler(watch)


def test_a_result_that_cannot_be_kept_becomes_a_dead_letter_that_says_so(folder: Path) -> None:
    app, moody = moody_app(folder, client_data_patience=0)
    make = app.task(data_app.make.func)

    moody.failures = 1
    with app.running():
        lost = make(LARGE, "x")
        with pytest.raises(ResultNotKept, match=r"ended well, but its result of 2000\d\d bytes could not be kept"):
            lost.get(timeout=60)
        assert [letter.invocation_id for letter in app.dead_letters()] == [lost.invocation_id]

        app.dead_letters().requeue()
        assert app.get_invocation(lost.invocation_id).get(timeout=60) == "x" * LARGE


def test_a_result_that_cannot_be_kept_is_retried_where_the_task_says_so(folder: Path) -> None:
    app, moody = moody_app(folder, client_data_patience=0)
    make = app.task(max_retries=2, retry_for=(ResultNotKept,))(data_app.make.func)

    moody.failures = 2
    with app.running():
        assert make(LARGE, "x").get(timeout=60) == "x" * LARGE


def test_a_body_whose_arguments_are_out_of_reach_is_handed_back_uncounted(folder: Path) -> None:
    app, moody = moody_app(folder, client_data_patience=0)
    double = app.task(data_app.double.func)
    waiting = double("x" * LARGE)

    moody.failures = 1
    with app.running():
        assert moody.failed.acquire(timeout=60)

    (snapshot,) = run(app.backend.state_backend.listing(ListFilter()))
    assert snapshot.control is not None
    assert not waiting.status.is_final()
    assert snapshot.control.attempt == 0
    assert any("out of reach: it is out for lunch" in attempt.detail for attempt in snapshot.attempts)


def test_a_body_whose_arguments_are_results_out_of_reach_is_handed_back_uncounted(folder: Path) -> None:
    app, moody = moody_app(folder, client_data_patience=0)
    make, measure = app.task(data_app.make.func), app.task(data_app.measure.func)
    last = app.chain(make.call(LARGE, "x"), measure.link(mark="y"))
    moody.fails_reading = True

    with app.running():
        assert moody.failed.acquire(timeout=60)

    snapshot = run(app.backend.state_backend.snapshots([parse_id(last.invocation_id)]))[0]
    assert snapshot is not None
    assert snapshot.control is not None
    assert any("out of reach: it is out for lunch" in attempt.detail for attempt in snapshot.attempts)


def test_arguments_that_are_gone_are_a_failure(app: Pynenc, folder: Path) -> None:
    double = app.task(data_app.double.func)
    lost = double("x" * LARGE)
    for file in files_in(folder):
        file.unlink()

    with app.running(), pytest.raises(SerializationError, match="is gone from the client data store"):
        lost.get(timeout=60)


def test_a_runner_that_stops_hands_over_what_waits_for_its_result_to_be_kept(folder: Path) -> None:
    app, moody = moody_app(folder)
    make = app.task(data_app.make.func)
    waiting = make(LARGE, "x")

    moody.failures = 1_000_000
    with app.running(drain_timeout=0.1):
        assert moody.failed.acquire(timeout=60)
    assert not waiting.status.is_final()

    moody.failures = 0
    with app.running():
        assert waiting.get(timeout=60) == "x" * LARGE


# --- what nothing names any more ---


def test_a_purge_removes_old_values_and_leaves_what_may_be_on_its_way(app: Pynenc, folder: Path) -> None:
    double = app.task(data_app.double.func)
    double("x" * LARGE)
    (today,) = {path.parent.parent for path in files_in(folder)}
    old = today.rename(today.with_name("2026-01-01"))
    double("y" * LARGE)

    app.purge()

    assert not old.exists()
    assert len(files_in(folder)) == 1


def test_a_value_stays_while_an_invocation_is_known_that_may_name_it(app: Pynenc, folder: Path) -> None:
    double = app.task(data_app.double.func)
    kept = double("x" * LARGE)
    (today,) = {path.parent.parent for path in files_in(folder)}

    assert app.collect_client_data() == 0
    assert today.exists()

    with app.running():
        assert kept.get(timeout=60) == "x" * LARGE * 2


def test_a_runner_collects_from_time_to_time(app: Pynenc, folder: Path) -> None:
    (folder / "tests" / "2026-01-01" / "ab").mkdir(parents=True)
    (folder / "tests" / "2026-01-01" / "ab" / ("ab" * 32)).write_bytes(b"old")
    collector = DataCollector(app.collect_client_data, rng=Random(1))

    assert collector.run_once() == 1
    assert collector.run_once() == 0

    folder.rename(folder.with_name("away"))
    assert collector.run_once() == 0


def test_the_setting_is_shown_without_what_is_secret(tmp_path: Path) -> None:
    app = Pynenc("memory://", client_data_store="s3://bucket/x?sse=aws:kms&kms_key=arn:of-it&region=eu-north-1")

    (view,) = (view for view in app.conf.describe() if view.name == "client_data_store")

    assert view.value == "s3://bucket/x?sse=aws:kms&kms_key=***&region=eu-north-1"
