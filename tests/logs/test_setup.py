"""Switching logging on, and being silent otherwise."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pynenc.config.app_config import AppConfig
from pynenc.logs.context import ContextFilter
from pynenc.logs.setup import PynencHandler, configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """Empty the root logger, which pytest fills for each test, and put everything back."""
    root, own = logging.getLogger(), logging.getLogger("pynenc")
    handlers, level, own_level = root.handlers[:], root.level, own.level
    root.handlers[:] = []
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        own.setLevel(own_level)


def _conf(tmp_path: Path, **values: Any) -> AppConfig:
    return AppConfig.load(values, environ={}, folder=str(tmp_path))


def test_records_go_to_the_chosen_stream_in_the_chosen_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bare_root():
        configure_logging(_conf(tmp_path, log_format="json", log_stream="stdout"))
        logging.getLogger("pynenc.runner").info("hello")

    written = capsys.readouterr()
    assert json.loads(written.out)["message"] == "hello"
    assert written.err == ""


def test_loggers_of_the_program_are_written_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bare_root():
        configure_logging(_conf(tmp_path, logging_level="info"))
        logging.getLogger("shop.mail").info("sent")
        logging.getLogger("shop.mail").debug("details")

    written = capsys.readouterr().err
    assert "shop.mail: sent" in written
    assert "details" not in written


def test_configuring_again_replaces_instead_of_doubling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bare_root() as root:
        configure_logging(_conf(tmp_path))
        configure_logging(_conf(tmp_path, logging_level="error"))
        logging.getLogger("pynenc").warning("unheard")
        logging.getLogger("pynenc").error("loud")
        handlers = [type(handler) for handler in root.handlers]

    written = capsys.readouterr().err
    assert (written.count("loud"), written.count("unheard")) == (1, 0)
    assert handlers == [PynencHandler]


def test_handlers_of_the_program_stay_and_learn_the_context(tmp_path: Path) -> None:
    stream = io.StringIO()
    own = logging.StreamHandler(stream)
    own.setFormatter(logging.Formatter("%(invocation_id)s %(message)s"))

    with bare_root() as root:
        root.addHandler(own)
        configure_logging(_conf(tmp_path))
        configure_logging(_conf(tmp_path))
        logging.getLogger("pynenc.x").info("hello")
        handlers = root.handlers[:]

    assert handlers == [own]
    assert [type(known) for known in own.filters] == [ContextFilter]
    assert stream.getvalue() == "None hello\n"


@pytest.mark.parametrize(
    ("stream", "setting", "no_color", "coloured"),
    [
        (Terminal, None, "", True),
        (Terminal, None, "1", False),
        (Terminal, False, "", False),
        (io.StringIO, None, "", False),
        (io.StringIO, True, "", True),
    ],
)
def test_colours_follow_setting_terminal_and_wish(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stream: type[io.StringIO],
    setting: bool | None,
    no_color: str,
    coloured: bool,
) -> None:
    written = stream()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setenv("NO_COLOR", no_color)

    with bare_root():
        configure_logging(_conf(tmp_path, log_use_colors=setting))
        logging.getLogger("pynenc").error("hello")

    assert "pynenc: hello" in written.getvalue()
    assert ("\x1b[" in written.getvalue()) is coloured


def test_as_a_library_pynenc_is_silent() -> None:
    script = "import logging, pynenc.logs; logging.getLogger('pynenc.core').error('unheard')"

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert (found.stdout, found.stderr) == ("", "")
