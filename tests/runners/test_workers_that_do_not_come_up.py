"""Workers that cannot load the app: the runner says why, goes slower and slower, and serves once they can."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.runners import worker_process
from pynenc.runners.worker_process import WorkerProcess
from tests.runners import fragile_app
from tests.runners.test_worker_processes import until

pytestmark = pytest.mark.faults

_NEXT = re.compile(r"did not come up: .*the next one follows in ([\d.]+) s", re.DOTALL)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pynenc]:
    monkeypatch.setenv("FRAGILE_APP", str(tmp_path / "broken"))
    app = fragile_app.app
    app.conf.url = f"sqlite:///{tmp_path / 'fragile.db'}"
    app.conf.runner_cls = "ProcessRunner"
    app.conf.num_processes = 1
    yield app
    app.release_backend()


def test_a_crash_loop_at_start_backs_off_says_why_and_ends_with_its_cause(
    app: Pynenc, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    broken.touch()

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if _NEXT.search(record.getMessage())]

    with caplog.at_level(logging.ERROR, "pynenc"), app.running():
        waiting = fragile_app.echo(7)
        until(lambda: len(told()) >= 3)
        broken.unlink()
        result = waiting.get(timeout=60)

    pauses = [float(found[1]) for text in told() if (found := _NEXT.search(text))]
    assert result == 7
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert "RuntimeError" in told()[0]
    assert "a setting is missing on this machine" in told()[0]


def test_a_system_that_starts_no_process_for_a_while_costs_time_and_nothing_else(
    app: Pynenc, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = iter([OSError(errno.EAGAIN, "no process is left")] * 2)
    start = worker_process._start

    def refuse_then_start(*given: Any) -> Any:
        for refusal in refusals:
            raise refusal
        return start(*given)

    monkeypatch.setattr(worker_process, "_start", refuse_then_start)

    with caplog.at_level(logging.ERROR, "pynenc"), app.running():
        result = fragile_app.echo(7).get(timeout=60)

    told = [text for record in caplog.records if "no worker can be started" in (text := record.getMessage())]
    assert result == 7
    assert [text.rpartition("trying again in ")[2] for text in told] == ["0.1 s", "0.2 s"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells what is open")
def test_a_worker_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(errno.EAGAIN, "no process is left")

    monkeypatch.setattr(worker_process, "_start", refuse)
    before = os.listdir("/proc/self/fd")

    with pytest.raises(OSError, match="no process is left"):
        WorkerProcess(0.0)

    assert os.listdir("/proc/self/fd") == before
