"""The examples are run as a user would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_example(
    *arguments: str, folder: Path, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder, with the repository on its path and no settings but these."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYNENC")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), **(settings or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_quick_start_prints_its_result_and_leaves_a_store(tmp_path: Path) -> None:
    done = run_example(str(ROOT / "examples/quickstart.py"), folder=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
    assert (tmp_path / ".pynenc" / "pynenc.db").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("asyncio_client.py", "one: page 1\nmany: " + ", ".join(f"page {n}" for n in range(2, 12)) + "\n"),
        ("limits.py", "{'had room'}\n[1, 2, 3] [1, 2, 3]\n1 sales for ann\n"),
        ("direct_tasks.py", "A PLAIN VALUE COMES BACK\n10 words in three parts\n"),
    ],
)
def test_an_example_prints_what_it_is_meant_to(name: str, expected: str, tmp_path: Path) -> None:
    done = run_example(str(ROOT / "examples" / name), folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_the_example_of_tests_passes(tmp_path: Path) -> None:
    tests = str(ROOT / "examples/testing_your_tasks/test_shop.py")

    done = run_example("-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", tests, folder=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
