"""Systems are measured in turn; one that fails is told of, and the others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.catalogue import CATALOGUE, Entry, chosen
from benchmarks.comparison import Sizes, compare, percentile, ratios
from benchmarks.record import SystemReport

SMALL = Sizes(rounds=1, tasks=60, round_trips=1)
FIGURES = {
    *("one by one /s", "bulk /s", "end to end /s"),
    *(f"{pause} p{percent} ms" for pause in ("in a row", "5 ms apart") for percent in (50, 95, 99)),
}


def report_of(*rounds: dict[str, float]) -> SystemReport:
    return SystemReport(name="A", kind="peer", store="sqlite", tasks=1, rounds=list(rounds))


def test_pynenc_and_its_bare_store_are_measured_beside_each_other() -> None:
    entries = chosen(["pynenc-sqlite", "bare-sqlite"])

    reports = compare(entries, SMALL)

    assert [report.failure for report in reports.values()] == ["", ""]
    assert all(set(report.medians()) == FIGURES for report in reports.values())
    assert all(value > 0 for report in reports.values() for value in report.medians().values())


def test_a_peer_that_cannot_be_installed_is_told_of_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "missing.txt").write_text(f"missing @ file://{tmp_path}/missing.tar.gz\n")
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    monkeypatch.setattr(environments, "MADE", tmp_path / "made")
    missing = Entry(key="missing", name="Missing", kind="peer", store="sqlite", environment="missing")

    reports = compare([missing, *chosen(["bare-sqlite"])], SMALL)

    assert reports["missing"].failure.startswith("InstallationFailed: ")
    assert "missing.tar.gz" in reports["missing"].failure
    assert len(reports["bare-sqlite"].rounds) == 1


def test_an_unknown_system_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SystemExit) as caught:
        chosen(["dramatic"])

    assert "unknown system dramatic; known are pynenc-sqlite, " in str(caught.value)


def test_every_peer_of_the_catalogue_has_pinned_requirements_and_says_how_it_is_configured() -> None:
    peers = [entry for entry in CATALOGUE if entry.kind == "peer"]

    requirements = [(environments.PEERS / f"{peer.environment}.txt").read_text().split() for peer in peers]

    assert all("==" in line for lines in requirements for line in lines)
    assert all(entry.configured() for entry in CATALOGUE)


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    ours, theirs = report_of({"a": 2.0}, {"a": 9.0}, {"a": 8.0}), report_of({"a": 1.0}, {"a": 3.0}, {"a": 2.0})

    found = ratios(ours, theirs)

    assert found == {"a": 3.0}


def test_a_percentile_of_few_values_is_one_of_them() -> None:
    values = [3.0, 1.0, 2.0]

    found = [percentile(values, percent) for percent in (0, 50, 99)]

    assert found == [1.0, 2.0, 3.0]
