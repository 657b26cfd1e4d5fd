"""Two releases on one store: the older goes on while the newer migrates, and is refused once its needs were taken away.

The newer release is a copy of this one with two more migrations and another text of its functions, used by processes of
its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import stores
from tests.cli.conftest import SHOP, Folder
from tests.private_servers.process import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
JOBS = """
import pynenc
import time
from pathlib import Path


@app.task(queue="older")
def by_older() -> str:
    return pynenc.__file__


@app.task(queue="newer")
def by_newer() -> str:
    return pynenc.__file__


@app.task(queue="older")
def begun_before() -> str:
    Path("begun").touch()
    while not Path("word").exists():
        time.sleep(0.02)
    return by_older.func()
"""
ADDED = {
    "sqlite": "ALTER TABLE call ADD COLUMN note TEXT;\n",
    "postgresql": "ALTER TABLE {schema}.call ADD COLUMN note text;\n",
}
TAKEN = {
    "sqlite": "ALTER TABLE call DROP COLUMN note;\n",
    "postgresql": "ALTER TABLE {schema}.call DROP COLUMN note;\n",
}


def make_newer_release(at: Path, store: str) -> None:
    """Copy this release, and add migrations that no other one knows."""
    shutil.copytree(ROOT / "pynenc", at / "pynenc")
    shutil.copytree(ROOT / "protocol", at / "protocol")
    migrations = at / ("pynenc/backends/sqlite/schema" if store == "sqlite" else "protocol/postgres")
    (migrations / "098_pre_add_note.sql").write_text(ADDED[store], encoding="utf-8")
    (migrations / "099_post_drop_note.sql").write_text(TAKEN[store], encoding="utf-8")
    with (at / "protocol/postgres/functions/120_moving.sql").open("a", encoding="utf-8") as file:
        file.write("-- Of the newer release.\n")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def older(store: str, tmp_path: Path) -> Iterator[Folder]:
    with stores.fresh_url(store, tmp_path) as (url, app_id):
        (tmp_path / "work").mkdir()
        folder = Folder(tmp_path / "work", app=SHOP + JOBS)
        settings = f'[tool.pynenc]\nurl = "{url}"\napp_id = "{app_id}"\n'
        (folder.path / "pyproject.toml").write_text(settings, encoding="utf-8")
        yield folder
        folder.close()


@pytest.fixture
def newer(store: str, older: Folder, tmp_path: Path) -> Iterator[Folder]:
    make_newer_release(tmp_path / "newer", store)
    folder = Folder(older.path, app=SHOP + JOBS, PYTHONPATH=str(tmp_path / "newer"))
    yield folder
    folder.close()


def result_of(folder: Folder, invocation_id: str) -> str:
    return folder.python(f"import shop; print(shop.app.get_invocation({invocation_id!r}).get(timeout=60))")


def test_the_older_release_goes_on_beside_the_newer_until_the_post_migration(
    older: Folder, newer: Folder, tmp_path: Path
) -> None:
    ours, theirs = str(ROOT / "pynenc" / "__init__.py"), str(tmp_path / "newer" / "pynenc" / "__init__.py")
    older_runner = older.start_runner("--runner", "thread", "--queues", "older")
    running = older.submit("begun_before()")
    wait_until((older.path / "begun").exists)

    assert "098_pre_add_note.sql" in newer.json("migrate")["done"]

    # What ran is ended, and what comes is run, by the older release; also for callers that open the store only now.
    (older.path / "word").touch()
    assert result_of(older, running) == ours
    assert result_of(older, older.submit("by_older()")) == ours
    newer_runner = newer.start_runner("--runner", "thread", "--queues", "newer")
    assert result_of(older, older.submit("by_newer()")) == theirs
    assert result_of(newer, newer.submit("by_older()")) == ours
    assert older.json("migrate")["done"] == newer.json("migrate")["done"] == []
    second_older = older.start_runner("--runner", "thread", "--queues", "mail")
    assert result_of(older, older.submit("mail('a')")) == "None"
    for runner in (older_runner, second_older):
        runner.terminate()
        runner.communicate(timeout=60)
        assert runner.returncode == 0

    done = newer.json("migrate", "--post")["done"]

    assert done[0] == "099_post_drop_note.sql"
    assert result_of(newer, newer.submit("by_newer()")) == theirs
    for command in (("runner", "start"), ("migrate",)):
        told = older.pynenc(*command, code=3)
        assert "newer release" in told
        assert "pgrade" in told
    assert result_of(newer, newer.submit("by_newer()")) == theirs
    newer_runner.terminate()
    newer_runner.communicate(timeout=60)
    assert newer_runner.returncode == 0
    assert newer.json("doctor")["healthy"] is True
