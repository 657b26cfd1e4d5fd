"""Client data stores at the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Folder

LARGE = "'x' * 200_000"


@pytest.fixture
def shared(folder: Folder) -> Path:
    """Return the folder in which the app keeps its large values."""
    place = folder.path / "shared"
    place.mkdir()
    own = folder.path / "shop.py"
    url = f"sqlite:///{folder.path / 'pynenc.db'}"
    own.write_text(own.read_text().replace("Pynenc()", f"Pynenc({url!r}, client_data_store='file://{place}')"))
    return place


def groups(shared: Path) -> list[str]:
    return sorted(path.name for path in (shared / "pynenc").iterdir() if path.name.startswith("20"))


def told(folder: Folder, *, healthy: bool = True) -> list[dict[str, str]]:
    """Return what doctor says of client data."""
    findings = folder.json("doctor", code=0 if healthy else 1)["findings"]
    return [finding for finding in findings if finding["subject"] == "client data"]


def test_the_command_line_shows_the_client_data_store_and_clears_it(folder: Folder, shared: Path) -> None:
    folder.submit(f"mail({LARGE})")
    (today,) = groups(shared)
    (shared / "pynenc" / today).rename(shared / "pynenc" / "2026-01-01")
    folder.submit(f"mail({LARGE} + 'y')")

    assert folder.json("show_config")["client_data_store"]["value"] == f"file://{shared}"
    assert [finding["level"] for finding in told(folder)] == ["ok"]
    assert "values of 2 days" in told(folder)[0]["detail"]

    assert folder.json("purge", "--yes") == {"purged": 2, "values_removed": 1}
    assert groups(shared) == [today]

    shutil.rmtree(shared)
    (finding,) = told(folder, healthy=False)
    assert finding["level"] == "error"
    assert "mount it, make it, or correct client_data_store" in finding["detail"]
    assert "0 invocations forgotten" in folder.pynenc("purge", "--yes")


def test_a_move_tells_the_client_data_store_whose_values_it_keeps(folder: Folder, shared: Path) -> None:
    source, target = (f"sqlite:///{folder.path / name}" for name in ("pynenc.db", "other.db"))
    moved = folder.submit(f"mail({LARGE})")
    folder.python("import shop; shop.app.collect_client_data()")
    owner = shared / "pynenc" / "owner"
    before = owner.read_text()

    folder.pynenc("move", source, target, "--yes")

    assert owner.read_text() == before.replace("pynenc.db", "other.db")
    own = folder.path / "shop.py"
    own.write_text(own.read_text().replace("pynenc.db", "other.db"))
    assert (
        folder.python(f"import shop; print(len(shop.app.get_invocation({moved!r}).arguments.kwargs['to']))") == "200000"
    )
    folder.python("import shop; shop.app.collect_client_data()")
