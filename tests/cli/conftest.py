"""The command line in a folder of its own, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHOP = """
from pynenc import Pynenc

app = Pynenc()


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task(max_retries=1, retry_delay=3600, retry_for=(OSError,), retry_jitter="none")
def flaky() -> None:
    raise OSError("down")


@app.task
def fail() -> None:
    raise ValueError("broken by design")


@app.task(queue="mail")
def mail(to: str) -> None: ...


if __name__ == "__main__":
    print(add(1, 2).invocation_id)
"""


class Folder:
    """A user's folder with a terminal in it.

    Args:
        app: the module that is there.
        environment: added to that of the tests, for all that is run.
    """

    def __init__(self, path: Path, app: str = SHOP, **environment: str) -> None:
        self.path = path
        self._environment = environment
        self._started: list[subprocess.Popen[str]] = []
        (path / "shop.py").write_text(app)

    def pynenc(self, *arguments: str, code: int | None = 0) -> str:
        """Run `pynenc` and return what it printed; fail unless it exits with `code`."""
        done = self._run("-m", "pynenc", *arguments)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run `pynenc` with `--json` and return the document."""
        done = self._run("-m", "pynenc", *arguments, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def python(self, code: str) -> str:
        """Run Python code here and return what it printed."""
        done = self._run("-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, call: str) -> str:
        """Submit a call of the shop and return its id."""
        return self.python(f"import shop; print(shop.{call}.invocation_id)")

    def wait(self, invocation_id: str) -> None:
        """Wait until an invocation has ended."""
        self.python(f"import shop; assert shop.app.get_invocation({invocation_id!r}).wait(60)")

    def start_runner(self, *options: str) -> subprocess.Popen[str]:
        """Start a runner that ends with the test."""
        return self.start("runner", "start", *options)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `pynenc` in a process that ends with the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pynenc", *arguments],
            cwd=self.path,
            env={**os.environ, **self._environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=60)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env={**os.environ, "COLUMNS": "200", **self._environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.close()
