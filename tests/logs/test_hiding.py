"""What logs show of arguments and URLs."""

from __future__ import annotations

import pytest

from pynenc.conf.config_pynenc import ArgumentPrintMode
from pynenc.logs.arguments import render_arguments
from pynenc.logs.redaction import redact_url


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("mode", "length", "expected"),
    [
        (ArgumentPrintMode.FULL, 3, "a=1, text='abcdef'"),
        (ArgumentPrintMode.KEYS, 3, "a, text"),
        (ArgumentPrintMode.TRUNCATED, 3, "a=1, text='ab…"),
        (ArgumentPrintMode.TRUNCATED, 8, "a=1, text='abcdef'"),
        (ArgumentPrintMode.TRUNCATED, 0, "a=1, text='abcdef'"),
        (ArgumentPrintMode.HIDDEN, 3, ""),
    ],
)
def test_arguments_are_shown_as_far_as_the_mode_allows(mode: ArgumentPrintMode, length: int, expected: str) -> None:
    assert render_arguments({"a": 1, "text": "abcdef"}, mode, length) == expected


def test_an_argument_that_cannot_be_shown_does_not_stop_the_log() -> None:
    assert render_arguments({"a": Broken()}, ArgumentPrintMode.FULL) == "a=<Broken without repr>"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "memory://"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("sqlite:////a/b.db?durability=full", "sqlite:////a/b.db?durability=full"),
        ("redis://me:hunter2@host:6379/0", "redis://***@host:6379/0"),
        ("redis://:hunter2@host", "redis://***@host"),
        ("postgresql://me@host/db", "postgresql://***@host/db"),
        ("mongodb://a:hunter2@one:1,two:2/db", "mongodb://***@one:1,two:2/db"),
        ("mysql://me:hun@ter2@host/db", "mysql://***@host/db"),
        ("postgresql://host/db?password=hunter2&sslmode=on", "postgresql://host/db?password=***&sslmode=on"),
        ("redis://host?API_Key=hunter2", "redis://host?API_Key=***"),
        ("redis://host?p%61ssword=hunter2", "redis://host?p%61ssword=***"),
        ("redis://host?user=me", "redis://host?user=***"),
        ("redis://[bad:hunter2@", "***"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact_url(url) == shown
