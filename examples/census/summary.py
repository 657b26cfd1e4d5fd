"""What the terminal shows at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields

from examples.census.counting import Totals, sum_up
from examples.census.report import Facts, largest_packages
from examples.census.trace import Trace


def summarize(facts: Facts, plain: Totals) -> str:
    """Return all of it as text."""
    return "\n\n".join(
        [_packages(facts), _modules(facts), _recovery(facts.trace), _speed(facts), _totals(facts, plain)]
    )


def _packages(facts: Facts) -> str:
    rows = []
    for package in largest_packages(facts.census, 8):
        sums = sum_up(package.files)
        rows.append((package.name, sums.files, sums.lines, sums.functions, sums.classes, sums.branches))
    return _table(("largest packages", "files", "lines", "functions", "classes", "branches"), rows)


def _modules(facts: Facts) -> str:
    largest = sorted(facts.census.files, key=lambda file: (-file.lines, file.path))[:5]
    rows = [(file.module, file.lines, file.functions, file.classes, file.branches) for file in largest]
    return _table(("largest modules", "lines", "functions", "classes", "branches"), rows)


def _recovery(trace: Trace) -> str:
    lines = []
    for span in trace.lost:
        again = trace.run_again(span)
        where = f" on process {span.worker}" if span.worker else ""
        after = f"ran again on process {again.worker}, {again.begin - span.end:.3f} s later" if again else "ended"
        lines.append(f"  {span.label}{where}: {span.detail or 'lost'}; {after}")
    return "recovered after the kill\n" + ("\n".join(lines) or "  nothing: the process was between two tasks")


def _speed(facts: Facts) -> str:
    return (
        f"{facts.invocations:,} invocations in {facts.seconds:.1f} s on {facts.processes} processes: "
        f"{facts.invocations / facts.seconds:,.0f}/s; plain and single-threaded: {facts.plain_seconds:.1f} s"
    )


def _totals(facts: Facts, plain: Totals) -> str:
    names = [field.name for field in fields(Totals)]
    table = _table(("totals", *names), [("tasks", *astuple(facts.census.totals)), ("plain", *astuple(plain))])
    return f"{table}\n{'equal' if facts.equal else 'DIFFERENT'}, compared file by file and edge by edge"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    texts = [list(head), *[[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in texts
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
