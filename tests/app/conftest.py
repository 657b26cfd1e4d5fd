"""Apps over every store, with and without a runner beside the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynenc import Pynenc

MakeApp = Callable[..., Pynenc]


@pytest.fixture(params=["memory", "sqlite"])
def make_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeApp]:
    """Return a maker of apps on one fresh store."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'app.db'}"
    made: list[Pynenc] = []

    def make(**settings: object) -> Pynenc:
        app = Pynenc(url, app_id="tests", config_values={"runner_cls": "ThreadRunner", **settings})
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(make_app: MakeApp) -> Pynenc:
    return make_app()
