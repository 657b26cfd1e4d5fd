"""The page of guarantees is what its results say, and none of them was a finding."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_follows_from_results_without_findings() -> None:
    rows = [json.loads(line) for line in (ROOT / "docs/guarantees.jsonl").read_text(encoding="utf-8").splitlines()]
    before = (ROOT / "docs/guide/guarantees.md").read_text(encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/guarantees")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert (ROOT / "docs/guide/guarantees.md").read_text(encoding="utf-8") == before
    assert all(row["findings"] == [] and sum(row["faults"].values()) >= 300 for row in rows)
