"""`python -m benchmarks`: what it keeps, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import record, services
from benchmarks.alone.measurements import Scale
from benchmarks.record import Figure, Measured


@pytest.fixture(autouse=True)
def _servers_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_BENCH", tmp_path / "bench")
    monkeypatch.setattr(services, "_STATES", {})


def good(scale: Scale) -> Measured:
    return Measured(figures=[Figure(what="queued", value=scale.queued)])


def bad(scale: Scale) -> Measured:
    raise RuntimeError("no such luck")


def test_a_measurement_that_fails_is_named_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", {"bad": bad, "good": good})

    with pytest.raises(SystemExit) as caught:
        command.main(["own", "--queued", "7", "--json", str(tmp_path / "figures.json")])

    kept = record.load(tmp_path / "figures.json").alone
    assert caught.value.code == "failed: bad"
    assert "no such luck" in capsys.readouterr().err
    assert [(name, taken.measured.figures[0].value) for name, taken in kept.items()] == [("good", 7)]


def test_a_later_run_keeps_what_it_did_not_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figures.json"
    for name in ("first", "second"):
        monkeypatch.setattr(command, "MEASUREMENTS", {name: good})
        command.main(["own", "--json", str(path)])

    kept = record.load(path).alone

    assert list(kept) == ["first", "second"]
    assert kept["first"].setting.command == f'make bench BENCH="own --json {path}"'


def test_two_runs_at_a_time_are_refused() -> None:
    with services.own_servers(), pytest.raises(SystemExit) as caught:
        command.main(["own"])

    assert "another run of benchmarks is going on" in str(caught.value)


def test_an_unknown_part_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["everything"])

    assert str(caught.value) == "unknown part everything; known are peers, own, install"
