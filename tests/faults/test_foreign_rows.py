"""Rows that somebody damaged: their invocations fail by name, everybody else's work goes on."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pynenc import Pynenc
from pynenc.errors import PynencError
from pynenc.invocation import DistributedInvocation, InvocationStatus
from pynenc.io import run
from tests import stores

DAMAGES = {"sqlite": 150, "postgresql": 40}
WAIT_S = 60.0


@pytest.fixture(params=DAMAGES)
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def damages(store: str) -> int:
    return DAMAGES[store]


@pytest.fixture
def app(store: str, tmp_path: Path) -> Iterator[Pynenc]:
    with stores.fresh_url(store, tmp_path) as (url, app_id):
        app = Pynenc(url, app_id=app_id, config_values={"max_threads": 2})
        yield app
        app.close()


def _overwrite(
    app: Pynenc, table: str, column: str, value: object, invocation: DistributedInvocation[..., object]
) -> None:
    if app.conf.url.startswith("postgresql"):
        statement = f"UPDATE pynenc_{app.app_id}.{table} SET {column} = %s WHERE id = %s"
        with psycopg.connect(app.conf.url) as admin:
            assert admin.execute(statement, (value, invocation.key)).rowcount == 1
        return
    path = app.conf.url.removeprefix("sqlite:///").partition("?")[0]
    with sqlite3.connect(path) as connection:
        changed = connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (value, invocation.key))
        assert changed.rowcount == 1
    connection.close()


def _garbage(rng: random.Random, original: bytes) -> bytes:
    """Return random bytes, or the original with some of its bytes changed, cut or doubled."""
    kind = rng.randrange(4)
    if kind == 0 or not original:
        return rng.randbytes(rng.randrange(0, 80))
    if kind == 1:
        return original[: rng.randrange(len(original))]
    if kind == 2:
        return original * 2
    changed = bytearray(original)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("column", ["arguments", "policy", "meta", "task_id"])
def test_damaged_calls_end_and_the_runner_goes_on(app: Pynenc, damages: int, column: str) -> None:
    rng = random.Random(column)

    @app.task(max_retries=1)
    def same(value: dict[str, int]) -> dict[str, int]:
        return value

    invocations = list(same.parallelize([({"n": n},) for n in range(damages)]))
    for invocation in invocations:
        assert isinstance(invocation, DistributedInvocation)
        original = getattr(invocation.snapshot().call, column)
        damaged = f"no.such.task{rng.random()}" if column == "task_id" else _garbage(rng, original)
        _overwrite(app, "call", column, damaged, invocation)
    good = same({"n": -1})

    with app.running():
        assert good.get(timeout=WAIT_S) == {"n": -1}
        if column == "task_id":
            assert all(not each.status.is_final() for each in invocations)
        else:
            assert all(each.wait(WAIT_S) for each in invocations)

    assert run(app.control.verify()) == []


def test_damaged_results_are_refused_by_name(app: Pynenc, damages: int) -> None:
    rng = random.Random(7)

    @app.task
    def same(value: dict[str, int]) -> dict[str, int]:
        return value

    with app.running():
        invocations = list(same.parallelize([({"n": n},) for n in range(damages)]))
        assert all(each.wait(WAIT_S) for each in invocations)
    refused = 0
    for each in invocations:
        invocation: DistributedInvocation[..., object] = app.get_invocation(each.invocation_id)
        assert invocation.status is InvocationStatus.SUCCESS
        payload = invocation.snapshot().outcome.payload  # type: ignore[union-attr]  # it has ended
        _overwrite(app, "outcome", "payload", _garbage(rng, payload), invocation)
        try:
            value = app.get_invocation(each.invocation_id).get(timeout=WAIT_S)
        except PynencError:
            refused += 1
        else:
            # Some damage leaves valid JSON behind.
            assert isinstance(value, dict | list | int | str | type(None))

    assert refused > damages // 2
