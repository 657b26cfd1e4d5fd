"""Metrics for Prometheus: what is counted, where, and what a page shows."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from pynenc import Cancel, Pynenc, Retry
from pynenc.cli.metrics import serving_metrics
from pynenc.errors import ConfigurationError, StoreUnavailable
from pynenc.integrations.prometheus import READY, Prometheus
from pynenc.middleware import Middleware, SubmitEvent
from pynenc.testing.engine import Engine
from tests.faults.processes import RunnerProcess
from tests.middleware import traced_app

WAIT_S = 60.0


@pytest.fixture
def prometheus(pynenc_app: Pynenc) -> Prometheus:
    """Return the metrics of `pynenc_app`."""
    prometheus = Prometheus(registry=CollectorRegistry(), stats_age_s=0.0)
    pynenc_app.add_middleware(prometheus)
    return prometheus


def samples(page: str) -> dict[str, float]:
    """Return the samples of a page by name and labels, without those of no interest here."""
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket", "_sum"))
    }


def seen(prometheus: Prometheus, *names: str) -> dict[str, float]:
    """Return the samples whose names begin with one of `names`, tasks by their last name."""
    found = samples(prometheus.page()[0].decode())
    return {
        re.sub(r"tests[\w.<>]*\.", "", name): value
        for name, value in found.items()
        if name.startswith(tuple(f"pynenc_{each}" for each in names))
    }


def test_every_end_of_a_run_is_counted(pynenc_app: Pynenc, pynenc_engine: Engine, prometheus: Prometheus) -> None:
    @pynenc_app.task(max_retries=1)
    def work(what: str) -> str:
        if what == "fail":
            raise ValueError
        if what == "cancel":
            raise Cancel
        if what == "retry" and pynenc_app.tasks[work.task_id].invocation.num_retries == 0:
            raise Retry
        return what

    work.parallelize(["succeed", "fail", "cancel", "retry"])
    pynenc_engine.run_all(skip_time=True)

    assert seen(prometheus, "submitted", "claimed", "started", "finished", "retries") == {
        "pynenc_submitted_total['default', 'test', 'work']": 4,
        "pynenc_claimed_total['default', 'test', 'work']": 5,
        "pynenc_started_total['default', 'test', 'work']": 5,
        "pynenc_finished_total['default', 'success', 'test', 'work']": 2,
        "pynenc_finished_total['default', 'failed', 'test', 'work']": 1,
        "pynenc_finished_total['cancelled', 'default', 'test', 'work']": 1,
        "pynenc_retries_total['default', 'test', 'work']": 1,
    }
    assert seen(prometheus, "queue_wait_seconds_count", "runner") == {
        "pynenc_queue_wait_seconds_count['default', 'test']": 4,
        "pynenc_runner_slots['test']": 1,
        "pynenc_runner_runs['active', 'test']": 0,
        "pynenc_runner_runs['test', 'waiting']": 0,
    }
    assert seen(prometheus, "store_seconds_count['submit")["pynenc_store_seconds_count['submit', 'test']"] == 1


def test_depths_of_queues_are_those_of_the_store(
    pynenc_app: Pynenc, pynenc_engine: Engine, prometheus: Prometheus
) -> None:
    @pynenc_app.task(queue="mail")
    def work() -> None: ...

    work()
    pynenc_engine.run_all()
    work.parallelize([(), ()])
    work.options(delay=60)()
    pynenc_app.pause("mail")

    assert seen(prometheus, "queue_depth", "queue_paused", "store_up") == {
        "pynenc_queue_depth['mail', 'ready', 'test']": 2,
        "pynenc_queue_depth['blocked', 'mail', 'test']": 0,
        "pynenc_queue_depth['delayed', 'mail', 'test']": 1,
        "pynenc_queue_depth['mail', 'running', 'test']": 0,
        "pynenc_queue_depth['mail', 'test', 'waiting']": 0,
        "pynenc_queue_paused['mail', 'test']": 1,
        "pynenc_store_up['test']": 1,
    }


def test_a_client_tells_nothing_of_queues(pynenc_app: Pynenc, pynenc_engine: Engine, prometheus: Prometheus) -> None:
    @pynenc_app.task
    def work() -> None: ...

    work()

    assert seen(prometheus, "queue_depth") == {}
    assert len(seen(prometheus, "submitted")) == 1


def test_a_store_that_does_not_answer_leaves_a_page_without_depths(
    pynenc_app: Pynenc, pynenc_engine: Engine, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    pynenc_engine.run_all()

    def refuse() -> object:
        raise StoreUnavailable("cut")

    monkeypatch.setattr(pynenc_app.control, "queue_stats", refuse)

    assert seen(prometheus, "store_up", "queue_depth") == {"pynenc_store_up['test']": 0}


def test_names_that_somebody_makes_up_do_not_fill_the_page(pynenc_app: Pynenc, pynenc_engine: Engine) -> None:
    prometheus = Prometheus(registry=CollectorRegistry(), most_tasks=2)
    pynenc_app.add_middleware(prometheus)

    @pynenc_app.task
    def work() -> None: ...

    for n in range(5):
        work.options(queue=f"q{n}")()

    assert seen(prometheus, "submitted") == {
        "pynenc_submitted_total['q0', 'test', 'work']": 1,
        "pynenc_submitted_total['q1', 'test', 'work']": 1,
        "pynenc_submitted_total['other', 'test', 'work']": 3,
    }


@pytest.mark.parametrize("stamp", ["nan", "-inf", "soon", "-1e12", ""])
def test_a_stamp_that_somebody_made_up_is_not_measured(
    pynenc_app: Pynenc, pynenc_engine: Engine, prometheus: Prometheus, stamp: str
) -> None:
    class Liar(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            submit.calls[0].carry(READY, stamp)

    @pynenc_app.task
    def work() -> None: ...

    pynenc_app.add_middleware(Liar())
    work()
    pynenc_engine.run_all()

    assert seen(prometheus, "queue_wait_seconds_count") == {}
    assert len(seen(prometheus, "claimed")) == 1


def test_apps_of_one_process_share_a_registry(
    prometheus: Prometheus, pynenc_app: Pynenc, pynenc_engine: Engine
) -> None:
    other = Pynenc("memory://", app_id="other")
    other.add_middleware(Prometheus(registry=prometheus._registry))

    @pynenc_app.task
    def work() -> None: ...

    @other.task
    def play() -> None: ...

    work()
    play()

    assert sorted(seen(prometheus, "submitted")) == [
        "pynenc_submitted_total['default', 'other', 'play']",
        "pynenc_submitted_total['default', 'test', 'work']",
    ]
    other.close()


def test_a_port_that_is_taken_is_refused_by_name(prometheus: Prometheus) -> None:
    with (
        prometheus.serve(0) as port,
        pytest.raises(ConfigurationError, match=f"metrics cannot be served at 127.0.0.1:{port}"),
        prometheus.serve(port),
    ):
        pass


def test_the_metrics_of_an_app_that_counts_are_a_page_beside_the_health_of_its_runner(
    pynenc_app: Pynenc, prometheus: Prometheus
) -> None:
    with serving_metrics(pynenc_app, None, None) as port:
        page = pynenc_app.runner.pages["/metrics"]()

    assert port is None
    assert (page.body, page.content_type, page.status) == (*prometheus.page(), 200)


def test_an_app_that_names_its_metrics_counts_once_and_shows_them_beside_its_health() -> None:
    program = (
        "from pynenc import Pynenc\n"
        "from pynenc.cli.metrics import serving_metrics\n"
        "app = Pynenc('memory://', middleware=['prometheus'])\n"
        "with serving_metrics(app, 0, None):\n"
        "    print([type(each).__name__ for each in app.hooks.all], list(app.runner.pages))\n"
    )

    # In a process of its own: this one has imported what a name is to import.
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines()[-1] == "['Prometheus'] ['/metrics']"


# --- of a runner with worker processes ---


@pytest.fixture
def runner_folder(tmp_path: Path) -> Iterator[Path]:
    app = traced_app.app
    app.release_backend()
    app.conf.url = f"sqlite:///{tmp_path / 'metrics.db'}"
    yield tmp_path
    app.release_backend()


def metrics_url(log: Path) -> str:
    """Return the address that the runner announced."""
    tick = threading.Event()
    for _ in range(6_000):
        found = re.search(r"metrics at (\S+)", log.read_text()) if log.exists() else None
        if found is not None:
            return found[1]
        tick.wait(0.01)
    raise AssertionError(log.read_text())


def read_page(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return samples(answer.read().decode())


@pytest.mark.faults
def test_one_page_of_a_runner_tells_of_all_its_worker_processes(runner_folder: Path) -> None:
    log = runner_folder / "log"
    runner = RunnerProcess(
        "tests.middleware.traced_app", "--processes", "2", "--metrics-port", "0",
        environment={"PYNENC_URL": traced_app.app.conf.url, "TRACE_FILE": str(runner_folder / "spans")}, log=log,
    )  # fmt: skip
    try:
        url = metrics_url(log)
        assert len(traced_app.parent(str(runner_folder / "flaky")).get(timeout=WAIT_S)) == 3
        assert traced_app.leave_once(str(runner_folder / "left")).get(timeout=WAIT_S) == "second run"
        wanted = {
            "pynenc_submitted_total['default', '{0}.leaf', 'traced']": 3,
            "pynenc_submitted_total['default', '{0}.flaky', 'traced']": 1,
            "pynenc_finished_total['default', 'success', '{0}.leaf', 'traced']": 3,
            "pynenc_finished_total['default', 'success', '{0}.parent', 'traced']": 1,
            "pynenc_finished_total['default', 'success', '{0}.leave_once', 'traced']": 1,
            "pynenc_retries_total['default', '{0}.flaky', 'traced']": 1,
            "pynenc_crashes_total['default', '{0}.leave_once', 'traced']": 1,
            "pynenc_started_total['default', '{0}.leave_once', 'traced']": 2,
            "pynenc_run_seconds_count['{0}.leaf', 'traced']": 3,
            "pynenc_queue_depth['default', 'ready', 'traced']": 0,
            "pynenc_queue_runners['default', 'traced']": 1,
            "pynenc_runner_slots['traced']": 2,
            "pynenc_runner_runs['active', 'traced']": 0,
        }
        expected = {name.format("tests.middleware.traced_app"): value for name, value in wanted.items()}
        # The last settlement is told to the client a moment before the runner has counted it.
        tick = threading.Event()
        for _ in range(500):
            page = read_page(url)
            found = {name: page.get(name) for name in expected}
            if found == expected:
                break
            tick.wait(0.02)
        assert found == expected
    finally:
        assert runner.stop() == 0
