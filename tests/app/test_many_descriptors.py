"""A program that has more descriptors open than `select` can name still gets its results."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc
from tests.stores import fresh_url

_MANY = 1_100


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _MANY + 200
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this system allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(_MANY)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("store", ["sqlite", "redis", "postgresql"])
def test_results_arrive_beyond_descriptor_1024(store: str, tmp_path: Path, many_descriptors: None) -> None:
    with fresh_url(store, tmp_path) as (url, app_id):
        app = Pynenc(url, app_id=app_id)

        @app.task
        def double(number: int) -> int:
            return 2 * number

        with app.running():
            results = sorted(double.parallelize([(n,) for n in range(20)]).results)
        app.close()

    assert results == [2 * n for n in range(20)]
