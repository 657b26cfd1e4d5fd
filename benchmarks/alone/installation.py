"""What pip installs."""

from __future__ import annotations

import subprocess
import tempfile
import venv
from pathlib import Path

from benchmarks.record import Figure, Measured

_ROOT = Path(__file__).parents[2]


def install() -> Measured:
    """How many distributions and megabytes `pip install .` adds to a new environment."""
    with tempfile.TemporaryDirectory(prefix="pynenc-install-") as folder:
        venv.create(folder, with_pip=True)
        site = next(Path(folder).glob("lib/python*/site-packages"))
        before = {path.name for path in site.iterdir()}
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", str(_ROOT)], check=True)
        added = [path for path in site.iterdir() if path.name not in before]
        files = [file for path in added for file in ([path] if path.is_file() else path.rglob("*"))]
        number = sum(path.name.endswith(".dist-info") for path in added)
        megabytes = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    return Measured(
        figures=[
            Figure(what="`pip install .`: distributions", value=number, at_most=6),
            Figure(what="`pip install .`: size", value=megabytes, unit=" MB", at_most=20),
        ]
    )
