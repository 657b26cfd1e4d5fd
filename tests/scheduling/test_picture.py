"""The pictures in the guide show what the schedulers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pynenc.scheduling.naming import SHIPPED

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_pictures_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/draw_schedulers", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_every_scheduler_has_a_page_with_its_picture() -> None:
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs/guide/schedulers").glob("*.md")}

    assert set(pages) == set(SHIPPED)
    assert [name for name, text in pages.items() if f"(../../assets/schedulers/{name}.svg)" not in text] == []
