"""The page of figures is what was measured, and cannot drift from it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import blocks, record, report
from benchmarks.plots import Chart, draw
from benchmarks.record import Comparison, Figure, Measured, Record, Series, Setting, SystemReport, Taken
from benchmarks.tables import shown

SVG = "{http://www.w3.org/2000/svg}"


def setting(command: str = "make bench") -> Setting:
    return Setting(command=command, date="2026-01-02", machine="x86_64", cores=2, versions={"SQLite": "3.40"})


def system(name: str, kind: str, rate: float, failure: str = "") -> SystemReport:
    latencies = {f"{pause} p{each} ms": 10 / rate for pause in ("in a row", "5 ms apart") for each in (50, 95, 99)}
    rounds = [] if failure else [{"one by one /s": rate, "bulk /s": rate, "end to end /s": rate, **latencies}]
    return SystemReport(name=name, kind=kind, store="redis", tasks=1_000, rounds=rounds, failure=failure)


def a_record(*, dramatiq: float = 1_000.0) -> Record:
    systems = {
        "pynenc-redis": system("Pynenc (Redis)", "pynenc", 12_000.0),
        "bare-redis": system("bare scripts (Redis)", "bare", 24_000.0),
        "dramatiq": system("Dramatiq (Redis)", "peer", dramatiq),
        "celery": system("Celery (Redis)", "peer", 1.0, failure="InstallationFailed: no network"),
    }
    memory = Measured(figures=[Figure(what="memory", value=742.0, unit=" bytes", at_most=800)])
    return Record(
        comparison=Comparison(setting=setting(), systems=systems),
        alone={"memory": Taken(setting=setting("make bench BENCH=own"), measured=memory)},
    )


def test_the_page_and_its_plots_follow_from_the_record() -> None:
    kept = record.load(report.RECORD)

    files = report.files(kept)

    assert {path.name for path in files} == {"performance.md", "throughput.svg", "latency.svg"}
    assert all(path.read_text(encoding="utf-8") == text for path, text in files.items())


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"

    record.save(a_record(), path)

    assert record.load(path) == a_record()
    assert record.load(tmp_path / "other.json") == Record()


def test_ratios_are_to_every_other_system_of_the_store_that_was_measured() -> None:
    text = blocks.over_peers(a_record())

    lines = text.splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [
        "| Pynenc (Redis) / bare scripts (Redis)",
        "| Pynenc (Redis) / Dramatiq (Redis)",
    ]
    assert lines[1].split(" | ")[3] == "12×"


def test_a_system_that_failed_is_named() -> None:
    text = blocks.compared(a_record())

    assert "- Celery (Redis) failed: InstallationFailed: no network" in text


@pytest.mark.parametrize(("dramatiq", "aim"), [(1_000.0, "≥ 8×"), (2_000.0, "≥ 8× **missed**")])
def test_an_aim_that_was_missed_is_marked(dramatiq: float, aim: str) -> None:
    text = blocks.aims(a_record(dramatiq=dramatiq))

    [line] = [line for line in text.splitlines() if "Dramatiq" in line]
    assert line.split(" | ")[2] == aim


def test_the_mixed_load_has_a_table_of_its_own() -> None:
    kept = a_record()
    ours = Figure(what="Pynenc", value=1.1, unit="×", detail="defaults.")
    kept.alone["mixed"] = Taken(setting=setting(), measured=Measured(figures=[ours]))

    assert "| Pynenc | 1.1× | defaults. |" in blocks.mixed(kept)
    assert "Pynenc" not in blocks.alone(kept)
    assert blocks.found("mixed", kept) == blocks.mixed(kept)


def test_figures_tell_which_command_took_them() -> None:
    text = blocks.settings(a_record())

    assert "- beside the peers, medians of 1 rounds: `make bench` on 2026-01-02; 2 cores, x86_64; SQLite 3.40" in text
    assert "- memory: `make bench BENCH=own`" in text


def test_only_the_blocks_of_a_page_are_replaced() -> None:
    page = "Prose.\n<!-- figures: one -->\nold\n<!-- end -->\nMore prose.\n"

    filled = report.filled(page, {"one": "new"})

    assert filled == "Prose.\n<!-- figures: one -->\n\nnew\n\n<!-- end -->\nMore prose.\n"
    assert report.filled(filled, {"one": "new"}) == filled


def test_a_page_without_one_of_the_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="it must have each of one, two once") as caught:
        report.filled("<!-- figures: one -->\n<!-- end -->\n", {"one": "", "two": ""})

    assert "the page has the blocks one;" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12_345.6, "12,346"), (1_000_000, "1,000,000"), (15.26, "15.3"), (1.5, "1.5"), (0.0213, "0.021"), (0, "0")],
)
def test_numbers_have_as_many_digits_as_people_read(value: float, text: str) -> None:
    assert shown(value) == text


def test_a_chart_draws_every_line_within_its_frame() -> None:
    lines = [
        Series(plot="p", name="A & B", points=[(1.0, 10.0), (10.0, 5_200.0)]),
        Series(plot="p", name="C", points=[(1.0, 0.5), (10.0, 7.0)]),
    ]

    for logarithmic in (False, True):
        chart = Chart(title="Rates", across="batch", series=lines, logarithmic=logarithmic)
        root = ElementTree.fromstring(draw([chart]))

        paths = [path.get("d", "") for path in root.iter(f"{SVG}path") if "line" in path.get("class", "")]
        heights = [float(point.split()[1]) for path in paths for point in path.removeprefix("M").split("L")]
        assert len(paths) == 2
        assert all(46 <= height <= 222 for height in heights)
        assert "A & B" in [text.text for text in root.iter(f"{SVG}text")]
