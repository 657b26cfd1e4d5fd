"""The census: what it counts, how it is drawn, and that a killed worker changes nothing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.census.counting import (
    Census,
    FileCount,
    ImportGraph,
    PackageCount,
    build_import_graph,
    count_source,
    imports_by_name,
    in_order,
    module_name,
    package_count,
    sum_up,
)
from examples.census.import_circle import circle_order, draw_imports, strongest_edges, without
from examples.census.report import Facts, render
from examples.census.sources import SINGLE_MODULES, file_count, library_packages, packages_below
from examples.census.summary import summarize
from examples.census.svg import ticks
from examples.census.trace import Recorded, SpanEnd, Trace, build_trace
from pynenc import InvocationStatus
from pynenc.invocation.history import HistoryEntry
from tests import stores
from tests.examples.test_examples import run_example

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

SOURCE = b"""
import os.path
from json import loads
from . import sibling

class A:
    def f(self, x):
        if x and x > 1 or x is None:
            return [y for y in x if y]
        return lambda: 1

async def g():
    while True:
        try:
            pass
        except ValueError:
            pass
"""


def test_a_source_is_counted_by_what_it_contains() -> None:
    counted = count_source("pkg/a.py", SOURCE)

    assert counted == FileCount(
        "pkg/a.py", "pkg.a", lines=17, functions=3, classes=1, branches=7, imports=("json", "os")
    )


def test_a_source_that_does_not_parse_has_its_lines_counted_and_says_why() -> None:
    counted = count_source("bad.py", b"def (:\n    pass\n")

    assert (counted.lines, counted.functions) == (2, 0)
    assert counted.problem.startswith("SyntaxError: ")


def test_a_source_with_null_bytes_says_why_too() -> None:
    assert "null bytes" in count_source("null.py", b"x = 1\0").problem


@pytest.mark.parametrize(("source", "lines"), [(b"", 0), (b"x", 1), (b"x\n", 1), (b"x\ny", 2)])
def test_a_last_line_without_newline_counts(source: bytes, lines: int) -> None:
    assert count_source("x.py", source).lines == lines


@pytest.mark.parametrize(
    ("path", "module"), [("a.py", "a"), ("a/__init__.py", "a"), ("a/b.py", "a.b"), ("__init__.py", "__init__")]
)
def test_a_path_names_a_module(path: str, module: str) -> None:
    assert module_name(path) == module


def file(path: str, *imports: str, lines: int = 10) -> FileCount:
    return FileCount(path, module_name(path), lines, 2, 1, 3, tuple(sorted(imports)))


def test_the_import_graph_has_only_counted_names_and_none_imports_itself() -> None:
    first = package_count("a", [file("a/x.py", "b", "a", "numpy"), file("a/y.py", "b")])
    second = package_count(SINGLE_MODULES, [file("b.py", "c"), file("c.py")])

    graph = build_import_graph([imports_by_name(first), imports_by_name(second)])

    assert graph == ImportGraph(importers={"a": 0, "b": 2, "c": 1}, edges={"a": {"b": 2}, "b": {"c": 1}, "c": {}})


def test_the_order_in_which_files_and_packages_were_counted_does_not_matter() -> None:
    files = [file("a/x.py"), file("a/y.py")]
    packages = [package_count("a", files), package_count("b", [file("b/z.py")])]

    turned = in_order([package_count("b", [file("b/z.py")]), package_count("a", reversed(files))])

    assert turned == in_order(packages) == tuple(packages)


def test_packages_below_a_folder_leave_out_what_was_installed_into_it(tmp_path: Path) -> None:
    for path in ("m.py", "pkg/__init__.py", "pkg/sub/x.py", "site-packages/other.py", "pkg/__pycache__/y.py", "n.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    packages = packages_below(tmp_path)

    assert [(package.name, package.paths) for package in packages] == [
        (SINGLE_MODULES, ("m.py",)),
        ("pkg", ("pkg/__init__.py", "pkg/sub/x.py")),
    ]


def test_this_interpreter_has_enough_to_count() -> None:
    assert file_count(library_packages()) > 1_000


def entry(ms: int, status: InvocationStatus, worker: int = 0) -> HistoryEntry:
    return HistoryEntry(
        status=status, timestamp=BEGIN + timedelta(milliseconds=ms), attempt=1, runner="r", worker=worker
    )


def recorded(name: str, group: str, *entries: HistoryEntry) -> Recorded:
    return Recorded(name, name, group, entries)


LOST_AND_RUN_AGAIN = recorded(
    "a/x.py",
    "a",
    entry(0, InvocationStatus.REGISTERED),
    entry(10, InvocationStatus.RUNNING, 101),
    entry(30, InvocationStatus.KILLED, 101),
    entry(31, InvocationStatus.PENDING),
    entry(35, InvocationStatus.RUNNING, 102),
    entry(50, InvocationStatus.SUCCESS, 102),
)
PARKED = recorded(
    "package a",
    "a",
    entry(0, InvocationStatus.REGISTERED),
    entry(5, InvocationStatus.RUNNING, 101),
    entry(6, InvocationStatus.PAUSED, 101),
    entry(55, InvocationStatus.RUNNING, 101),
    entry(60, InvocationStatus.SUCCESS, 101),
)


def example_trace() -> Trace:
    return build_trace([LOST_AND_RUN_AGAIN, PARKED], [(101, BEGIN + timedelta(milliseconds=30))])


def test_a_history_with_a_killed_worker_becomes_a_lost_and_a_repeated_run() -> None:
    trace = example_trace()

    (lost,) = trace.lost
    again = trace.run_again(lost)

    assert (lost.worker, lost.end) == (101, 0.03)
    assert again is not None
    assert (again.worker, again.begin, again.again, again.how) == (102, 0.035, True, SpanEnd.DONE)


def test_a_history_with_a_wait_has_a_parked_stretch_between_two_runs() -> None:
    trace = example_trace()

    spans = [span for span in trace.spans if span.label == "package a"]

    assert [(span.parked, span.how) for span in spans] == [
        (False, SpanEnd.WAITED),
        (True, SpanEnd.WAITED),
        (False, SpanEnd.DONE),
    ]


def test_names_that_import_each_other_come_to_stand_side_by_side() -> None:
    names = list("abcdefgh")
    edges = {("a", "e"): 9, ("b", "f"): 9, ("c", "g"): 9, ("d", "h"): 9}

    order = circle_order(names, edges)

    gaps = [abs(order.index(source) - order.index(target)) for source, target in edges]
    assert all(gap in (1, 7) for gap in gaps)
    assert sorted(order) == names


def test_each_name_shows_what_most_of_its_files_import() -> None:
    graph = ImportGraph({"a": 0, "b": 3, "c": 2, "d": 1}, {"a": {"b": 3, "c": 2, "d": 1}, "b": {"c": 1}})

    assert dict(strongest_edges(graph, ["a", "b", "c", "d"], per_name=2)) == {
        ("a", "b"): 3,
        ("a", "c"): 2,
        ("b", "c"): 1,
    }


def test_a_graph_without_a_name_counts_anew_who_imports_what() -> None:
    graph = ImportGraph({"a": 1, "b": 2, "test": 0}, {"a": {"b": 1}, "b": {}, "test": {"a": 1, "b": 1}})

    assert without(graph, "test") == ImportGraph({"a": 0, "b": 1}, {"a": {"b": 1}, "b": {}})


@pytest.mark.parametrize(
    ("length", "expected"), [(8.0, [0, 1, 2, 3, 4, 5, 6, 7, 8]), (0.5, [0, 0.1, 0.2, 0.3, 0.4, 0.5])]
)
def test_ticks_are_round(length: float, expected: Sequence[float]) -> None:
    assert ticks(length, 8 if length == 8 else 5) == pytest.approx(expected)


def example_facts(*, equal: bool = True) -> Facts:
    packages = (
        PackageCount("a", (file("a/<x>.py", "b", lines=30), file("a/y.py", "b"))),
        PackageCount(SINGLE_MODULES, (file("b.py"),)),
    )
    graph = build_import_graph([imports_by_name(package) for package in packages])
    return Facts(Census(packages, graph), example_trace(), equal, 0.06, 0.1, 2, "sqlite:///x.db")


def test_the_report_needs_nothing_from_elsewhere_and_its_drawings_are_well_formed() -> None:
    page = render(example_facts())

    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        ET.fromstring(drawing)
    assert not re.search(r"""(src|href)=|url\(|https?:""", page)
    assert "prefers-color-scheme: dark" in page


def test_the_report_marks_the_kill_the_lost_run_and_the_repeated_one() -> None:
    page = render(example_facts())

    assert "SIGKILL to process 101" in page
    assert 'class="run lost"' in page
    assert 'class="run again"' in page


def test_the_report_escapes_what_it_shows() -> None:
    assert "a.&lt;x&gt;" in render(example_facts())


def test_the_report_and_the_summary_say_when_the_counts_differ() -> None:
    facts = example_facts(equal=False)

    assert "differs from a plain" in render(facts)
    assert "DIFFERENT" in summarize(facts, sum_up(facts.census.files))


def test_the_summary_tells_what_was_recovered() -> None:
    facts = example_facts()

    text = summarize(facts, facts.census.totals)

    assert "a/x.py on process 101: lost; ran again on process 102, 0.005 s later" in text
    assert "equal, compared" in text


def test_a_graph_without_imports_can_be_drawn() -> None:
    ET.fromstring(draw_imports(ImportGraph({"a": 0}, {"a": {}})))


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(320)
@pytest.mark.parametrize("store", ["sqlite", "redis", "postgresql"])
def test_a_census_with_a_killed_worker_is_equal_to_a_plain_one(tmp_path: Path, store: str) -> None:
    packages = [argument for name in ("asyncio", "email", "unittest", "xml") for argument in ("--package", name)]

    with stores.fresh_url(store, tmp_path) as (url, app_id):
        settings = {} if store == "sqlite" else {"PYNENC_URL": url, "PYNENC__APP_ID": app_id}
        done = run_example("-m", "examples.census", "--processes", "3", *packages, folder=tmp_path, settings=settings)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"kill -9 \d+", done.stdout)
    assert "\nequal, compared" in done.stdout
    assert (tmp_path / ".pynenc" / "census.html").stat().st_size > 10_000
