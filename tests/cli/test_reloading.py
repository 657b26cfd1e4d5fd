"""`runner start --reload` as a developer uses it: files change, also for the worse."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pynenc.cli.reloading import changes_by_looking
from tests.cli.conftest import Folder

pytestmark = pytest.mark.timeout(180)

VERSION = """
from pathlib import Path
import time

from pynenc import Pynenc

app = Pynenc()


@app.task
def version() -> int:
    return {version}


@app.task
def hold() -> int:
    Path("begun").touch()
    while not Path("until").exists():
        time.sleep(0.005)
    return {version}
"""


class Terminal:
    """A runner that reloads, and what it says."""

    def __init__(self, folder: Folder, *options: str) -> None:
        self._folder = folder
        self.write(1)
        self._process = folder.start("runner", "start", "--runner", "thread", "--reload", *options)
        self._said = ""

    def write(self, version: int) -> None:
        self.write_text(VERSION.format(version=version))

    def write_text(self, text: str) -> None:
        """Replace the file at once, as editors do."""
        new = self._folder.path / "shop.py.new"
        new.write_text(text)
        new.rename(self._folder.path / "shop.py")

    def wait_for(self, text: str) -> None:
        """Read on until the runner has said `text` once more."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said += line
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}: {self._said}")

    @property
    def said(self) -> str:
        """What was read so far."""
        return self._said

    def result(self, invocation_id: str) -> str:
        return self._folder.python(f"import shop; print(shop.app.get_invocation({invocation_id!r}).get(timeout=60))")

    def stop(self) -> int:
        self._process.terminate()
        self._process.communicate(timeout=60)
        return self._process.returncode


@pytest.fixture(params=["watchfiles", "looking"])
def terminal(folder: Folder, request: pytest.FixtureRequest) -> Terminal:
    if request.param == "looking":
        # As if it were not installed.
        (folder.path / "watchfiles.py").write_text("raise ImportError('not here')\n")
    return Terminal(folder)


def test_new_code_runs_after_a_change_and_what_runs_ends_first(folder: Folder, terminal: Terminal) -> None:
    terminal.wait_for("starts:")
    holding = folder.submit("hold()")
    while not (folder.path / "begun").exists():
        threading.Event().wait(0.01)

    terminal.write(2)
    terminal.wait_for("changed: starting anew")
    terminal.wait_for("drains: ")
    submitted = folder.submit("version()")
    (folder.path / "until").touch()
    terminal.wait_for("starts:")

    assert terminal.result(holding) == "1"
    assert terminal.result(submitted) == "2", terminal.said
    assert terminal.stop() == 0


def test_an_error_in_a_changed_file_waits_for_the_next_change(folder: Folder, terminal: Terminal) -> None:
    terminal.wait_for("starts:")
    submitted = folder.submit("version()")
    terminal.result(submitted)

    terminal.write_text("this is no Python\n")
    terminal.wait_for("waiting for a change")
    terminal.write(2)
    terminal.wait_for("starts:")

    assert terminal.result(folder.submit("version()")) == "2"
    assert terminal.stop() == 0


def test_changes_below_hidden_folders_are_no_changes(tmp_path: Path) -> None:
    stop = threading.Event()
    (tmp_path / "a.py").touch()
    (tmp_path / ".venv").mkdir()
    looking = changes_by_looking(tmp_path, stop, interval_s=0.01)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(next(looking)))

    thread.start()
    (tmp_path / ".venv" / "b.py").touch()
    while thread.is_alive():
        (tmp_path / "c.py").write_text(f"{len(found)}")
        thread.join(0.05)

    assert found == [str(tmp_path / "c.py")]


def test_without_watchfiles_it_says_so_and_looks_by_itself(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['watchfiles'] = None\n"
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from pynenc.cli.reloading import _tell_how_it_looks; _tell_how_it_looks()"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert "pip install 'pynenc[reload]'" in done.stderr
