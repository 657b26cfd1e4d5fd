"""A configuration that sees only what a test gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pynenc.config.app_config import AppConfig

Load = Callable[..., AppConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load with an empty environment and an empty folder."""

    def perform(values: Mapping[str, Any] | None = None, **options: Any) -> AppConfig:
        return AppConfig.load(values, **{"environ": {}, "folder": str(tmp_path), **options})

    return perform
