"""The page of guarantees is what its results say; it is refused where they show too little, or a broken promise."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

Row = dict[str, Any]


def run_script(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts/guarantees"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what the script reads and writes."""
    for name in ("scripts/guarantees", "docs/guarantees.jsonl", "docs/guide/guarantees.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(house: Path, how: Callable[[list[Row]], list[Row]]) -> None:
    path = house / "docs/guarantees.jsonl"
    rows = how([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_the_page_is_what_the_results_say() -> None:
    done = run_script(ROOT, "check")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_finding_is_refused_by_name(house: Path) -> None:
    def break_a_promise(rows: list[Row]) -> list[Row]:
        return [{**rows[0], "findings": ["something was lost"]}, *rows[1:]]

    change(house, break_a_promise)

    done = run_script(house)

    assert done.returncode == 1
    assert "something was lost" in done.stderr


@pytest.mark.parametrize("kind", ["storm", "loss", "check"])
def test_a_promise_without_a_result_is_refused_and_says_how_to_get_one(house: Path, kind: str) -> None:
    change(house, lambda rows: [row for row in rows if (row["kind"], row["store"]) != (kind, "PostgreSQL")])

    done = run_script(house)

    assert done.returncode == 1
    assert "nothing shows PostgreSQL" in done.stderr
    assert "make test-faults" in done.stderr


def test_too_few_faults_are_refused(house: Path) -> None:
    def fewer(rows: list[Row]) -> list[Row]:
        return [{**row, "faults": {"worker killed": 299}} if row["kind"] == "storm" else row for row in rows]

    change(house, fewer)

    assert "299 faults" in run_script(house).stderr


def test_an_old_page_is_told_of_and_written_anew(house: Path) -> None:
    page = house / "docs/guide/guarantees.md"
    expected = page.read_text(encoding="utf-8")
    page.write_text("old", encoding="utf-8")

    assert run_script(house, "check").returncode == 1
    assert run_script(house).returncode == 0
    assert page.read_text(encoding="utf-8") == expected


def test_every_staged_event_and_promise_has_a_row_on_the_page() -> None:
    script = runpy.run_path(str(ROOT / "scripts/guarantees"), run_name="read")
    page = (ROOT / "docs/guide/guarantees.md").read_text(encoding="utf-8")

    assert all(page.count(f"| {promise} |") == len(script["TABLES"]) for promise in script["PROMISES"])
