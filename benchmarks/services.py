"""Where the servers of measurements are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SERVICES = Path(__file__).parents[1] / "scripts" / "services"


def url_of(name: str) -> str:
    """Return the address of a server: of the environment, else of one that `scripts/services` starts."""
    variable = f"PYNENC_TEST_{name.upper()}"
    given = os.environ.get(variable)
    if given:
        return given
    subprocess.run([_SERVICES, "start", name], check=True, stdout=subprocess.DEVNULL)
    told = subprocess.run([_SERVICES, "env"], check=True, capture_output=True, text=True).stdout
    for line in told.splitlines():
        name_of_line, _, value = line.partition("=")
        if name_of_line.removeprefix("export ").strip() == variable:
            return value.strip("'\"")
    raise SystemExit(f"scripts/services started no {name}")
