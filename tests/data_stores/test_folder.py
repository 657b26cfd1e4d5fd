"""Objects as files: who can read them, what a crash leaves, and what somebody may have put between them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pynenc.data_stores.objects import ObjectDataStore
from pynenc.data_stores.opening import open_data_store
from pynenc.data_stores.parcels import key_of
from pynenc.errors import ConfigurationError, StoreCorrupted, StoreError, StoreUnavailable
from pynenc.io import run
from pynenc.testing.clock import FakeClock

VALUE = b"one of many " * 10_000
KEY = key_of(VALUE)
DAY = "2026-01-01"
DAY_S = 86_400


def opened(
    folder: Path, *, app_id: str = "shop", owner: str = "memory://", clock: FakeClock | None = None, query: str = ""
) -> ObjectDataStore:
    return open_data_store(f"file://{folder}{query}", app_id=app_id, owner=owner, clock=clock or FakeClock())


def file_of(folder: Path, key: bytes = KEY) -> Path:
    return folder / "shop" / DAY / key.hex()[:2] / key.hex()


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_value_is_one_file_however_often_it_is_put(tmp_path: Path) -> None:
    store = opened(tmp_path)

    for _ in range(3):
        run(store.put(KEY, VALUE))
    run(opened(tmp_path).put(KEY, VALUE))

    assert files_in(tmp_path) == [file_of(tmp_path)]
    assert file_of(tmp_path).stat().st_size < len(VALUE) / 10


def test_only_the_user_can_read_what_is_made_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run(opened(tmp_path).put(KEY, VALUE))
    finally:
        os.umask(before)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()}
    assert modes == {0o700}
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("app_id", ["..", ".", ".hidden", "a b", "ü", "x" * 200, "con:*?"])
def test_the_name_of_an_app_never_leads_out_of_the_folder(tmp_path: Path, app_id: str) -> None:
    folder = tmp_path / "values"
    folder.mkdir()
    store = opened(folder, app_id=app_id)

    reference = run(store.put(KEY, VALUE))

    assert run(store.get(reference)) == VALUE
    assert [path.name for path in tmp_path.iterdir()] == ["values"]
    assert next(folder.iterdir()).name.startswith("app-")


@pytest.mark.parametrize("part", ["shop", f"shop/{DAY}", f"shop/{DAY}/{KEY.hex()[:2]}"])
def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path, part: str) -> None:
    folder, elsewhere = tmp_path / "values", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / part).parent.mkdir(parents=True)
    (folder / part).symlink_to(elsewhere)
    store = opened(folder)

    with pytest.raises(StoreCorrupted, match="not followed; remove it"):
        run(store.put(KEY, VALUE))

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    store = opened(tmp_path)
    reference = run(store.put(KEY, VALUE))
    file = file_of(tmp_path)
    file.unlink()
    if kind == "link":
        file.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()

    with pytest.raises(StoreCorrupted, match="remove it"):
        run(store.get(reference))


def test_a_link_in_place_of_a_file_is_replaced_not_written_through(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    store = opened(tmp_path)
    run(store.put(KEY, VALUE))
    file_of(tmp_path).unlink()
    file_of(tmp_path).symlink_to(secret)

    reference = run(store.put(KEY, VALUE))

    assert secret.read_bytes() == b"secret"
    assert run(store.get(reference)) == VALUE


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    store = opened(tmp_path)
    reference = run(store.put(KEY, VALUE))
    file = file_of(tmp_path)
    damaged = file.read_bytes()[:-1] + b"\0"
    file.write_bytes(damaged)

    with pytest.raises(StoreCorrupted) as caught:
        run(store.get(reference))

    assert str(file) in str(caught.value)
    assert "put it back from a backup" in str(caught.value)
    assert file.read_bytes() == damaged


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    store = opened(tmp_path / "not mounted")

    with pytest.raises(StoreUnavailable, match="mount it, make it, or correct client_data_store"):
        run(store.put(KEY, VALUE))

    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_killed_leaves_nothing_that_counts(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pynenc.data_stores import folder\n"
        "place = folder.FolderPlace(sys.argv[1], 'shop')\n"
        "os.rename = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "place.write('2026-01-01', sys.argv[2], b'half of it')\n"
    )

    died = subprocess.run([sys.executable, "-c", script, str(tmp_path), KEY.hex()], check=False)

    store, clock = opened(tmp_path), FakeClock()
    assert died.returncode == -signal.SIGKILL
    assert len(files_in(tmp_path)) == 1
    assert run(store.get(KEY + (clock() // (DAY_S * 1_000_000)).to_bytes(2, "big"))) is None
    os.utime(files_in(tmp_path)[0], (0, 0))
    run(store.collect(before_us=0))
    assert files_in(tmp_path) == [tmp_path / "shop" / "owner"]


def test_a_file_is_synced_before_its_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    run(store.put(key_of(b"before"), b"before"))
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def note_sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_rename(*names: Any, **folders: Any) -> None:
        done.append("rename")
        rename(*names, **folders)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)

    run(store.put(key_of(b"before!"), b"before!"))

    assert done[-3:] == ["file", "rename", "folder"]


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from pynenc.data_stores.folder import FolderPlace\n"
        "from pynenc.errors import StoreFull\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    FolderPlace(sys.argv[1], 'shop').write('2026-01-01', 'ab' * 32, bytes(5000))\n"
        "except StoreFull as error:\n"
        "    print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)

    assert "make room there" in done.stdout
    assert files_in(tmp_path) == []


def test_nothing_is_removed_for_another_store_of_invocations(tmp_path: Path) -> None:
    clock = FakeClock()
    reference = run(opened(tmp_path, clock=clock).put(KEY, VALUE))
    run(opened(tmp_path, clock=clock).collect(before_us=0))
    clock.advance(10 * DAY_S)
    other = opened(tmp_path, owner="redis://staging", clock=clock)

    with pytest.raises(StoreError, match="keeps values for memory://, not for redis://staging"):
        run(other.collect(before_us=clock()))

    assert run(other.get(reference)) == VALUE
    findings = run(other.diagnose())
    assert [finding.level for finding in findings if "redis://staging" in finding.detail] == ["warning"]


def test_what_is_in_the_folder_besides_is_left_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    store = opened(tmp_path, clock=clock)
    run(store.put(KEY, VALUE))
    (tmp_path / "shop" / "notes").mkdir()
    (tmp_path / "shop" / "notes" / "mine").touch()
    (tmp_path / "neighbour").touch()
    clock.advance(10 * DAY_S)

    assert run(store.collect(before_us=clock())) == 1

    left = {str(path.relative_to(tmp_path)) for path in files_in(tmp_path)}
    assert left == {"neighbour", "shop/notes/mine", "shop/owner"}


def test_doctor_tells_of_a_folder_that_others_may_look_into(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert [finding.level for finding in run(store.diagnose()) if "may look into" in finding.detail] == []

    (tmp_path / "shop").chmod(0o755)

    assert [finding.level for finding in run(store.diagnose()) if "may look into" in finding.detail] == ["warning"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/x", "file:///folder or s3://bucket/prefix"),
        ("/folder", "file:///folder or s3://bucket/prefix"),
        ("file://server/folder", "file:///absolute/path"),
        ("file:folder", "file:///absolute/path"),
        ("file:///folder?colour=red", "it knows cache, cache_mib, compress, sync"),
        ("file:///folder?cache_mib=much", "number of MiB"),
        ("file:///folder?cache=here", "absolute path"),
        ("file:///folder?compress=maybe", "1 or 0"),
        ("s3://UPPER/x", "no name of a bucket"),
        ("s3:///x", "no name of a bucket"),
        ("s3://me:secret@bucket/x", "credentials do not belong"),
        ("s3://bucket?endpoint=ftp://x", "http:// or https://"),
        ("s3://bucket?endpoint=http://me:secret@x", "without a login"),
        ("s3://bucket?sse=rot13", "AES256, aws:kms"),
        ("s3://bucket?kms_key=k", "needs sse=aws:kms"),
        ("s3://bucket?sse=AES256&kms_key=k", "goes with sse=aws:kms"),
        ("s3://bucket?part_mib=1", "at least 5"),
        ("s3://bucket?attempts=x", "at least 1"),
        ("s3://bucket?addressing=round", "path, virtual or auto"),
        ("s3://bucket?sync=1", "it knows"),
    ],
)
def test_a_url_that_says_nothing_sensible_is_refused_with_what_is_expected(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_data_store(url, app_id="shop", owner="memory://")

    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
