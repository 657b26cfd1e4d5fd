"""`pynenc limits`, `queues`, `pause` and `resume` on an app that is limited."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pynenc import Limit, Pynenc
from pynenc.cli.context import State
from pynenc.cli.entry import cli
from pynenc.errors import GatesUnsupported
from tests import stores

Command = Callable[..., str]


class OneApp(State):
    """Global options of a command line whose app is the test's."""

    one_app: Pynenc

    def app(self) -> Pynenc:
        return self.one_app


@pytest.fixture(params=stores.ALL)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pynenc]:
    with stores.fresh_store(request.param, tmp_path) as backend:
        app = Pynenc("memory://")
        app.use_backend(backend)
        yield app


@pytest.fixture
def pynenc(app: Pynenc, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str, code: int = 0) -> str:
        """Run a command in this process and return what it printed; fail unless it exits with `code`."""
        state = OneApp()
        state.one_app = app
        found = cli.main(list(arguments), prog_name="pynenc", standalone_mode=False, obj=state)
        assert (found if isinstance(found, int) else 0) == code
        return capsys.readouterr().out

    return command


def as_json(text: str) -> Any:
    return json.loads(text)


def test_limits_are_set_listed_and_cleared(pynenc: Command) -> None:
    assert pynenc("limits", "set", "db", "2") == "db: 2 from now on\n"
    pynenc("limits", "set", "stripe", "50/min burst 5")

    rows = as_json(pynenc("limits", "list", "--json"))
    assert rows == [
        {"name": "stripe", "key": None, "at_once": None, "rate": "50/min", "burst": 5, "weight": None},
        {"name": "db", "key": None, "at_once": 2, "rate": None, "burst": None, "weight": None},
    ]
    assert "50/min" in pynenc("limits", "list")
    assert pynenc("limits", "clear", "db") == "db: tasks decide again\n"
    assert pynenc("limits", "clear", "db", code=1) == "db: nothing was set\n"


def test_a_key_is_the_one_that_tasks_go_by(app: Pynenc, pynenc: Command) -> None:
    pynenc("limits", "set", "tenant", "3", "--key", "acme", "--key", "7")
    app_side = as_json(pynenc("limits", "list", "--json"))[0]["key"]

    assert app.clear_limit("tenant", key=("acme", 7)) is True
    assert len(app_side) == 32


def test_weights_are_set_and_cleared(app: Pynenc, pynenc: Command) -> None:
    pynenc("limits", "set", "acme", "3", "--share")

    assert as_json(pynenc("limits", "list", "--json"))[0]["weight"] == 3
    assert app.clear_weight("acme") is True
    pynenc("limits", "clear", "acme", "--share", code=1)


def test_queues_show_what_is_blocked_and_pausing_tells_of_it(app: Pynenc, pynenc: Command) -> None:
    @app.task(queue="mail", limits=Limit("smtp", 1))
    def send() -> None: ...

    for _ in range(3):
        send()

    (row,) = as_json(pynenc("queues", "--json"))
    assert (row["queue"], row["ready"], row["blocked"]) == ("mail", 3, 0)
    assert "blocked" in pynenc("queues")
    said = pynenc("pause", "mail").splitlines()
    assert said[0].startswith(f"queue mail is paused (by {getpass.getuser()}@")
    assert said[1].startswith("3 ready, the oldest for ")
    assert said[1].endswith(" s; 0 blocked by limits; 0 running")
    assert as_json(pynenc("resume", "mail", "--json"))["paused"] is False


def test_a_store_without_limits_says_so(app: Pynenc, pynenc: Command) -> None:
    app.backend.capabilities = structs.replace(app.backend.capabilities, gates=False)

    with pytest.raises(GatesUnsupported, match="limits, rates and weights: the store "):
        pynenc("limits", "set", "db", "2")
