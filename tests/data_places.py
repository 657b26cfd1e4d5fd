"""Fresh client data stores of every kind that is apart from a store of invocations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from pynenc.clock import system_clock_us
from pynenc.data_stores.objects import ObjectDataStore
from pynenc.data_stores.opening import open_data_store
from pynenc.ports.backend import ClockUs
from tests.servers import url_of

APART = ("folder", "s3")
OWNER = "memory://"
LOGIN = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests-secret"}
"""Of the server that `scripts/services` starts."""

_numbers = count(1)


def log_in(patch: pytest.MonkeyPatch, login: dict[str, str] = LOGIN) -> None:
    """Let this process, and those that it starts, have the credentials of the server, and none besides."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in {**login, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}.items():
        patch.setenv(name, value)


def fresh_data_url(kind: str, folder: Path) -> str:
    """Return the URL of a place in which nothing is yet."""
    if kind == "folder":
        place = folder / f"values{next(_numbers)}"
        place.mkdir(mode=0o700)
        return f"file://{place}"
    base, _, query = url_of("s3").partition("?")
    cache = folder / "cache"
    return f"{base}/{os.getpid()}-{os.urandom(4).hex()}?{query}&cache={cache}"


@contextmanager
def fresh_data_store(kind: str, folder: Path, clock: ClockUs = system_clock_us) -> Iterator[ObjectDataStore]:
    """Open an empty one. Give it back at the end; a bucket of tests goes with its server."""
    store = open_data_store(fresh_data_url(kind, folder), app_id="tests", owner=OWNER, clock=clock)
    try:
        yield store
    finally:
        store.close()
