"""Decorated functions keep their types for mypy and pyright, and middleware has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", ["decorated.py", "middleware.py"])
def test_mypy_sees_the_types_of_what_users_write(name: str) -> None:
    checked = _mypy(HERE / name)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", ["decorated.py", "middleware.py"])
def test_pyright_sees_the_types_of_what_users_write(name: str) -> None:
    assert _pyright_errors(HERE / name) == []


def test_mypy_finds_every_misuse() -> None:
    checked = _mypy(HERE / "misused.py")

    found = {int(line.split(":")[1]) for line in checked.stdout.splitlines() if ": error:" in line}
    assert found == _marked()


def test_pyright_finds_every_misuse() -> None:
    assert set(_pyright_errors(HERE / "misused.py")) == _marked()


def _marked() -> set[int]:
    lines = (HERE / "misused.py").read_text().splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# error")}


def _mypy(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def _pyright_errors(file: Path) -> list[int]:
    """Return the lines pyright has errors in."""
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    return [
        found["range"]["start"]["line"] + 1 for found in report["generalDiagnostics"] if found["severity"] == "error"
    ]
