"""What large arguments cost, and what they leave in the store of the invocations.

    python -m benchmarks.large_values own file:///mnt/shared "s3://bucket?endpoint=…" --number 2000

submits invocations whose arguments are of a megabyte each, no two alike, runs them in two threads of this process, and
looks how large the SQLite store has become. `own` keeps the values in that store, `folder` in one of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from pynenc import Pynenc
from pynenc.logs.redaction import redact_url

_SIZE = 1_000_000
_BATCH = 50


class Cost(NamedTuple):
    """Of one place."""

    submitted_per_s: float
    run_per_s: float
    submitting_ms: float
    """Processor time, which says more than rates do where other programs run."""
    running_ms: float
    store_bytes: int
    """Of the file with the invocations, its log included."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", default=["own", "folder"], help="own, folder, or URLs")
    parser.add_argument("--number", type=int, default=2_000, help="invocations (default: %(default)s)")
    options = parser.parse_args()
    for place in options.places:
        with tempfile.TemporaryDirectory(prefix="pynenc-values-") as folder:
            cost = measure(place, options.number, Path(folder))
        print(
            f"{redact_url(place)}: {options.number:,} arguments of {_SIZE:,} bytes: "
            f"submitted {cost.submitted_per_s:,.0f}/s, run {cost.run_per_s:,.0f}/s, "
            f"processor time {cost.submitting_ms:.1f} ms and {cost.running_ms:.1f} ms of this process for each, "
            f"store {cost.store_bytes / 1e6:,.2f} MB, {cost.store_bytes / options.number:,.0f} bytes an invocation"
        )


def measure(place: str, number: int, folder: Path) -> Cost:
    """Send `number` large arguments through one place."""
    url = None if place == "own" else place
    if place == "folder":
        (folder / "values").mkdir()
        url = f"file://{folder / 'values'}"
    database = folder / "store.db"
    app = Pynenc(
        f"sqlite:///{database}",
        app_id="large_values",
        client_data_store=url,
        config_values={"runner_cls": "ThreadRunner", "max_threads": 2, "retention_days": None},
    )

    @app.task(parallel_batch_size=_BATCH)
    def size_of(text: str) -> int:
        return len(text)

    body = _body()
    began, began_cpu = time.perf_counter(), time.process_time()
    group = size_of.parallelize((f"{each:016x}{body}",) for each in range(number))
    submitted, submitted_cpu = time.perf_counter(), time.process_time()
    with app.running():
        assert set(group.results) == {len(body) + 16}
    ended, ended_cpu = time.perf_counter(), time.process_time()
    app.close()
    store = sum(path.stat().st_size for path in folder.glob("store.db*") if path.is_file())
    return Cost(
        number / (submitted - began),
        number / (ended - submitted),
        (submitted_cpu - began_cpu) / number * 1e3,
        (ended_cpu - submitted_cpu) / number * 1e3,
        store,
    )


def _body() -> str:
    """Return text as programs exchange it: it shrinks to about a third."""
    rng = random.Random(1)
    rows = []
    size = 0
    while size < _SIZE:
        row = {"id": rng.randrange(10**9), "price": rng.random(), "name": f"customer {rng.randrange(10**6)}"}
        rows.append(json.dumps(row))
        size += len(rows[-1])
    return "\n".join(rows)[: _SIZE - 16]


if __name__ == "__main__":
    main()
