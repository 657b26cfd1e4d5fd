"""Workers that cannot load the app: the runner says why, goes slower and slower, and serves once they can."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
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
