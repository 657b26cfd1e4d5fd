"""A minute's worth of the soak: the whole of it is `make soak`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.soak.__main__ import Soak
from tests.soak.places import SqlitePlace


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_everything_at_once_leaves_nothing_wrong_and_nothing_behind(tmp_path: Path) -> None:
    wrong = Soak(SqlitePlace(tmp_path), tmp_path, random.Random(7)).run(minutes=0.3)

    assert wrong == []
