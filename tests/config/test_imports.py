"""What importing the configuration costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pydantic", "yaml", "asyncio", "inspect", "sqlite3", "tomllib", "difflib", "logging")


@pytest.mark.parametrize("module", ["pynenc.config", "pynenc.config.app_config", "pynenc.config.task_options"])
def test_importing_the_configuration_loads_nothing_heavy(module: str) -> None:
    # msgspec imports typing_extensions, and with it inspect, where that happens to be installed.
    script = (
        "import sys, msgspec; before = set(sys.modules);"
        f"import {module}; print(sorted(set({HEAVY!r}) & (set(sys.modules) - before)))"
    )

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
