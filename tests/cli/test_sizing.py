"""What `--processes`, `--concurrency`, `--mode` and `--queues` mean for each runner."""

from __future__ import annotations

from typing import Any

import click
import pytest

from pynenc import Pynenc
from pynenc.cli.runner import choose_queues, choose_runner, size_runner
from pynenc.runners.runner import ProcessRunner
from pynenc.runners.sizing import Processes


def processes(kind: str, **options: Any) -> Processes:
    """Return what workers a runner of this kind has that is started with these options."""
    app = Pynenc("memory://", app_id="sizes")
    choose_runner(app, kind)
    size_runner(app, **{"concurrency": None, "processes": None, **options})
    assert isinstance(app.runner, ProcessRunner)
    return app.runner.processes()


@pytest.mark.parametrize(
    ("kind", "options", "least", "most", "slots", "mode"),
    [
        ("process", {"processes": (3, 3)}, 3, 3, 1, "threads"),
        ("process", {"concurrency": 5}, 5, 5, 1, "threads"),
        ("process", {"processes": (2, 8)}, 2, 8, 1, "threads"),
        ("hybrid", {"processes": (2, 2), "concurrency": 16}, 2, 2, 16, "threads"),
        ("hybrid", {"processes": (1, 4), "concurrency": 50, "mode": "asyncio"}, 1, 4, 50, "asyncio"),
        ("hybrid", {"processes": (1, 1), "mode": "asyncio"}, 1, 1, 100, "asyncio"),
        ("MultiThreadRunner", {"processes": (2, 2)}, 2, 2, 1, "threads"),
        ("MultiThreadRunner", {"processes": (1, 2), "concurrency": 4}, 1, 2, 4, "threads"),
    ],
)
def test_options_make_workers(kind: str, options: dict[str, Any], least: int, most: int, slots: int, mode: str) -> None:
    found = processes(kind, **options)

    assert (found.least, found.most, found.worker.slots, found.worker.mode.value) == (least, most, slots, mode)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("process", {"processes": (2, 2), "concurrency": 2}, "choose --runner hybrid"),
        ("thread", {"processes": (2, 2)}, "--processes is for process runners"),
        ("thread", {"mode": "asyncio"}, "--mode is for --runner hybrid"),
    ],
)
def test_options_that_do_not_fit_the_runner_are_refused(kind: str, options: dict[str, Any], said: str) -> None:
    app = Pynenc("memory://", app_id="sizes")
    choose_runner(app, kind)

    with pytest.raises(click.UsageError, match=said):
        size_runner(app, **{"concurrency": None, "processes": None, **options})


def test_queues_may_have_limits() -> None:
    app = Pynenc("memory://", app_id="sizes")

    choose_queues(app, "mail:2, default,slow:1")

    assert app.conf.queues == ("mail", "default", "slow")
    assert app.conf.queue_limits == {"mail": 2, "slow": 1}


def test_no_queue_at_all_is_refused() -> None:
    with pytest.raises(click.UsageError, match="names no queue"):
        choose_queues(Pynenc("memory://", app_id="sizes"), " , ")
