"""Compiled modules for the processes that a measurement starts, as an installed package has them."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / ".bench" / "bytecode"


def keep_bytecode() -> None:
    """Let processes that are started from now on keep what they compile, whatever the environment says.

    With `PYTHONDONTWRITEBYTECODE`, which builds set, each process compiles a working copy anew: four times as long as
    it takes to start from a package that pip compiled. A folder of its own keeps the working copy clean.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(_FOLDER)
