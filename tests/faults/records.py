"""What the tests of this folder found, for the page of guarantees: one line for each subject, the latest one counts.

`scripts/guarantees` makes a page of the file that PYNENC_TEST_RESULTS names; without it nothing is kept.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path


def keep(kind: str, store: str, durability: str, subject: str = "", /, **facts: object) -> None:
    """Keep what was found in place of what was known about the same.

    Args:
        kind: `storm`, `loss` or `check`.
        store: as the page names it.
        durability: the declared level.
        subject: which loss or check.
        facts: whatever the page tells of it; `findings` is empty when the promise was kept.
    """
    named = os.environ.get("PYNENC_TEST_RESULTS")
    if not named:
        return
    path = Path(named)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = {_key(row): row for row in _rows(path)}
        row = {"kind": kind, "store": store, "durability": durability, "subject": subject, **facts}
        rows[_key(row)] = row
        path.write_text("".join(json.dumps(rows[key]) + "\n" for key in sorted(rows)), encoding="utf-8")
    path.with_suffix(".lock").unlink(missing_ok=True)


def _rows(path: Path) -> list[dict[str, object]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _key(row: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(str(row.get(name, "")) for name in ("kind", "store", "durability", "subject"))
