"""The report: one HTML file with everything in it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from html import escape
from pathlib import Path

from examples.census.bars import largest_modules, most_imported
from examples.census.counting import Census, PackageCount, sum_up
from examples.census.import_circle import draw_imports, ranking, without
from examples.census.timeline import draw_closely, draw_timeline
from examples.census.trace import Trace

_PAGE = Path(__file__).parent / "page"
_COLOURS = 5
_TEST_SUITE = "test"


@dataclass(frozen=True, slots=True)
class Facts:
    """A census, how it was taken, and whether the plain run agrees."""

    census: Census
    trace: Trace
    equal: bool
    seconds: float
    plain_seconds: float
    processes: int
    store: str

    @property
    def recovered(self) -> int:
        """Invocations that lost an attempt to the kill and ended all the same."""
        return len({span.invocation for span in self.trace.lost})

    @property
    def invocations(self) -> int:
        return len({span.invocation for span in self.trace.spans})


def write_report(facts: Facts, path: Path) -> Path:
    """Write the report and return its absolute path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(facts), encoding="utf-8")
    return path.resolve()


def largest_packages(census: Census, number: int) -> list[PackageCount]:
    """Return the packages with the most lines."""
    return sorted(census.packages, key=lambda package: (-sum_up(package.files).lines, package.name))[:number]


def render(facts: Facts) -> str:
    """Return the page as HTML."""
    style, script = ((_PAGE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    name = f"Python {platform.python_version()}"
    body = "\n".join(
        [
            _head(facts, name),
            _timeline(facts),
            _modules(facts),
            _imports(facts),
            _packages(facts),
            _foot(facts, name),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>A census of {name}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _head(facts: Facts, name: str) -> str:
    totals = facts.census.totals
    kills = len(facts.trace.kills)
    killed = f"{kills} worker process{'es' if kills != 1 else ''}"
    verdict = (
        '<div class="verdict">✓ equal to a plain single-threaded run, file by file</div>'
        if facts.equal
        else '<div class="verdict bad">✗ differs from a plain single-threaded run</div>'
    )
    tiles = [
        (f"{totals.files:,}", "source files"),
        (f"{totals.lines:,}", "lines"),
        (f"{totals.functions:,}", "functions"),
        (f"{totals.classes:,}", "classes"),
        (f"{totals.branches:,}", "branches"),
        (f"{facts.seconds:.1f} s", f"on {facts.processes} processes"),
        (f"{facts.invocations / facts.seconds:,.0f}/s", f"of {facts.invocations:,} invocations"),
        (f"{facts.recovered}", "run again after the kill"),
    ]
    return (
        f"<header><h1>A census of the {name} standard library</h1>\n"
        f"<p>One task per source file, one per package that waits for its files, one that joins their imports. "
        f"Half-way, {killed} was killed with SIGKILL. Nothing is missing.</p>\n{verdict}</header>\n"
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in tiles)
        + "</div>"
    )


def _timeline(facts: Facts) -> str:
    largest = [package.name for package in largest_packages(facts.census, _COLOURS)]
    colours = {name: number for number, name in enumerate(largest, 1)}
    entries = [(f"var(--g{number})", name) for name, number in colours.items()]
    entries += [("var(--g0)", "other packages"), ("var(--lost)", "lost with its worker"), ("var(--again)", "run again")]
    legend = "".join(f'<span><i style="--c:{colour}"></i>{escape(name)}</span>' for colour, name in entries)
    closely = "".join(
        f"<h3>Around the kill, second {kill.at:.2f}</h3>"
        f'<div class="wide">{draw_closely(facts.trace, kill, colours)}</div>'
        for kill in facts.trace.kills
    )
    return _section(
        "Who ran what, and when",
        "Each box is one attempt. A task that waits for others holds no slot: its worker runs them in the meantime. "
        "What the killed process had in hand ran again elsewhere; the process itself was replaced.",
        f'<div class="wide">{draw_timeline(facts.trace, colours)}</div><div class="legend">{legend}</div>{closely}',
    )


def _modules(facts: Facts) -> str:
    drawn = largest_modules(facts.census.files)
    return _section("The largest modules", "By lines, as they are in the file.", f'<div class="wide">{drawn}</div>')


def _imports(facts: Facts) -> str:
    graph = facts.census.graph
    note = "Names around the circle are placed so that the ones that belong together are close. Each shows the five "
    note += "that most of its files import; point at a name to follow them."
    if _TEST_SUITE in graph.importers:
        graph = without(graph, _TEST_SUITE)
        note += " The test suite, which imports everything, is left out."
    drawn = f"<div>{draw_imports(graph)}</div><div><h3>Files that import…</h3>{most_imported(ranking(graph, 16))}</div>"
    return _section("What leans on what", note, f'<div class="two">{drawn}</div>')


def _packages(facts: Facts) -> str:
    rows = []
    for package in largest_packages(facts.census, 12):
        sums = sum_up(package.files)
        numbers = (sums.files, sums.lines, sums.functions, sums.classes, sums.branches)
        cells = "".join(f"<td>{number:,}</td>" for number in numbers)
        per_function = f"{sums.branches / sums.functions:.1f}" if sums.functions else "–"
        rows.append(f"<tr><td>{escape(package.name)}</td>{cells}<td>{per_function}</td></tr>")
    names = ("Package", "Files", "Lines", "Functions", "Classes", "Branches", "Branches per function")
    head = "".join(f"<th>{name}</th>" for name in names)
    table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    return _section("The largest packages", "", table)


def _foot(facts: Facts, name: str) -> str:
    unparsed = facts.census.totals.unparsed
    return (
        f"<footer>{name} on {escape(platform.system())} {escape(platform.machine())}; store {escape(facts.store)}. "
        f"{unparsed} of the files do not parse, on purpose: they test the parser, and have only their lines counted. "
        f"The plain run took {facts.plain_seconds:.1f} s.</footer>"
    )


def _section(title: str, note: str, content: str) -> str:
    lead = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{lead}{content}</section>"
