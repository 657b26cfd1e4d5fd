"""`python -m benchmarks.report`: write the figures of a record into the page and its plots.

The page holds prose, and between `<!-- figures: NAME -->` and `<!-- end -->` what is made here; nobody edits that
by hand.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.alone import batches, latency
from benchmarks.blocks import BLOCKS
from benchmarks.plots import Chart, draw
from benchmarks.record import Record, Series, load

_ROOT = Path(__file__).parents[1]
RECORD = _ROOT / "docs" / "performance.json"
PAGE = _ROOT / "docs" / "performance.md"
ASSETS = _ROOT / "docs" / "assets"
_BLOCK = re.compile(r"(<!-- figures: (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--json", type=Path, default=RECORD, help="the record (default: %(default)s)")
    given = parser.parse_args()
    for path, text in files(load(given.json)).items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(_ROOT))


def files(record: Record) -> dict[Path, str]:
    """Return what the page and its plots have to be."""
    page = filled(PAGE.read_text(encoding="utf-8"), {name: block(record) for name, block in BLOCKS.items()})
    return {PAGE: page, **{ASSETS / name: text for name, text in plots(record).items()}}


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with each of its blocks replaced.

    Raises:
        ValueError: the page names a block that does not exist, or lacks one.
    """
    named = [found["name"] for found in _BLOCK.finditer(page)]
    if sorted(named) != sorted(blocks):
        raise ValueError(f"the page has the blocks {', '.join(named)}; it must have each of {', '.join(blocks)} once")
    return _BLOCK.sub(lambda found: f"{found[1]}\n{blocks[found['name']]}\n\n{found[3]}", page)


def plots(record: Record) -> dict[str, str]:
    """Return the plots by file name; only those for which there are figures."""
    lines: dict[str, list[Series]] = {}
    for taken in record.alone.values():
        for series in taken.measured.series:
            lines.setdefault(series.plot, []).append(series)
    throughput = [
        Chart(title=f"{title}, tasks /s", across="calls in a batch", series=lines[plot])
        for plot, title in (
            (batches.END_TO_END, "From end to end"),
            (batches.SUBMITTED, "The store alone, submitting"),
            (batches.COMPLETED, "The store alone, completing and claiming"),
        )
        if plot in lines
    ]
    times = [
        Chart(title="Submit to result, calls 5 ms apart, ms", across="percentile", series=lines[plot], logarithmic=True)
        for plot in (latency.PLOT,)
        if plot in lines
    ]
    return {name: draw(charts) for name, charts in (("throughput.svg", throughput), ("latency.svg", times)) if charts}


if __name__ == "__main__":
    main()
