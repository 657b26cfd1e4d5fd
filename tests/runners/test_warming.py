"""Bodies import nothing of Pynenc: an interruption amid an import would leave the module locked for all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.processes import RunnerProcess
from tests.runners.importing_app import app, submits_and_awaits, submits_and_waits

WAIT_S = 60.0


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_bodies_import_nothing_of_pynenc(kind: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'importing.db'}"
    app.release_backend()
    app.conf.url = url
    runner = RunnerProcess(
        "tests.runners.importing_app",
        *("--runner", kind),
        environment={"PYNENC_URL": url, "PYNENC__LOGGING_LEVEL": "error"},
        log=tmp_path / "runner.log",
    )
    try:
        assert submits_and_waits(1).get(timeout=WAIT_S) == []
        assert submits_and_awaits(1).get(timeout=WAIT_S) == []
    finally:
        runner.stop()
        app.release_backend()
