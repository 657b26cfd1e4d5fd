"""Stores that several processes share and that declare gates; a further one needs nothing here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc.composition import open_backend
from tests import stores
from tests.gates.contenders import Arena


@pytest.fixture(params=tuple(name for name in stores.ALL if name != "memory"))
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """An empty store, and processes that contend for its gates."""
    # Not `tmp_path`: a socket beside the file of a store needs a short one.
    with (
        tempfile.TemporaryDirectory(prefix="pynenc-") as folder,
        stores.fresh_url(request.param, Path(folder)) as (url, app_id),
    ):
        backend = open_backend(url, app_id=app_id)
        try:
            with Arena(backend, url, app_id, Path(folder) / "records") as opened:
                yield opened
        finally:
            backend.close()
