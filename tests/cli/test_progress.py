"""How far a long command is: seen in a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from pynenc.cli import progress


class Terminal(io.StringIO):
    """Takes what is printed, and says that somebody looks at it."""

    def isatty(self) -> bool:
        return True


def show_some() -> None:
    with progress.progress() as show:
        show("carrying", 200, 1_000)
        show("carrying", 1_000, 1_000)
        show("comparing", 200, 1_000)


def test_a_program_is_shown_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)

    show_some()

    assert said.getvalue() == ""


def test_a_terminal_without_rich_is_told_of_each_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setitem(sys.modules, "rich.progress", None)

    show_some()

    assert said.getvalue() == "carrying …\ncomparing …\n"


def test_a_terminal_with_rich_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setenv("TERM", "xterm")

    show_some()

    assert "comparing" in said.getvalue()
    assert "1000/1000" in said.getvalue() or "200/1000" in said.getvalue()
