"""The cache of objects on the disk: bounded, shared, and never trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pynenc.data_stores.cache import DiskCache
from pynenc.data_stores.opening import open_data_store
from pynenc.data_stores.parcels import key_of
from pynenc.errors import StoreUnavailable
from pynenc.io import run

VALUE = b"one of many " * 10_000
NAMES = [f"{number:02x}" * 32 for number in range(40)]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_was_read_once_is_read_again_without_its_place(tmp_path: Path) -> None:
    place, cache = tmp_path / "place", tmp_path / "cache"
    place.mkdir()
    url = f"file://{place}?cache={cache}&cache_mib=1"
    reference = run(open_data_store(url, app_id="shop", owner="memory://").put(key_of(VALUE), VALUE))
    assert run(open_data_store(url, app_id="shop", owner="memory://").get(reference)) == VALUE

    place.rename(tmp_path / "away")

    assert run(open_data_store(url, app_id="shop", owner="memory://").get(reference)) == VALUE
    with pytest.raises(StoreUnavailable):
        run(open_data_store(url, app_id="shop", owner="memory://").put(key_of(b"new"), b"new"))


def test_what_is_damaged_in_the_cache_is_read_from_its_place(tmp_path: Path) -> None:
    place, cache = tmp_path / "place", tmp_path / "cache"
    place.mkdir()
    store = open_data_store(f"file://{place}?cache={cache}", app_id="shop", owner="memory://")
    reference = run(store.put(key_of(VALUE), VALUE))
    run(store.get(reference))
    (cached,) = (path for path in cache.rglob("*") if path.is_file())
    whole = cached.read_bytes()
    cached.write_bytes(b"PNCD and then something else")

    assert run(store.get(reference)) == VALUE

    assert cached.read_bytes() == whole


def test_it_stays_within_its_bound_and_keeps_what_was_read_last(tmp_path: Path) -> None:
    cache = DiskCache(str(tmp_path), 100_000)
    for number, name in enumerate(NAMES[:9]):
        cache.write("2026-01-01", name, bytes(10_000))
        os.utime(tmp_path / "2026-01-01" / name[:2] / name, (number + 1, number + 1))
    assert cache.read("2026-01-01", NAMES[0]) is not None

    for name in NAMES[9:12]:
        cache.write("2026-01-01", name, bytes(10_000))

    assert size_of(tmp_path) <= 100_000
    assert cache.read("2026-01-01", NAMES[0]) is not None
    assert cache.read("2026-01-01", NAMES[1]) is None
    assert cache.read("2026-01-01", NAMES[11]) is not None


def test_several_writers_of_one_cache_keep_its_bound_nearly(tmp_path: Path) -> None:
    caches = [DiskCache(str(tmp_path), 160_000) for _ in range(4)]

    for name in NAMES:
        for number, cache in enumerate(caches):
            cache.write(f"2026-01-0{number + 1}", name, bytes(5_000))

    # Each may have written a sixteenth of the bound since it looked last.
    assert size_of(tmp_path) <= 160_000 + 4 * 10_000


def test_what_is_larger_than_all_of_it_is_not_cached(tmp_path: Path) -> None:
    cache = DiskCache(str(tmp_path), 1_000)

    cache.write("2026-01-01", NAMES[0], bytes(1_001))

    assert size_of(tmp_path) == 0


def test_a_cache_that_cannot_be_written_costs_only_the_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place, file = tmp_path / "place", tmp_path / "file"
    place.mkdir()
    file.touch()
    store = open_data_store(f"file://{place}?cache={file}", app_id="shop", owner="memory://")
    reference = run(store.put(key_of(VALUE), VALUE))

    assert [run(store.get(reference)) for _ in range(2)] == [VALUE] * 2

    assert caplog.text.count("client data is not cached") == 1
