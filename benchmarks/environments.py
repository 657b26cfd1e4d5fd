"""An own virtual environment for each peer, made when it is first asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
MADE = Path(__file__).parents[1] / ".bench"


class InstallationFailed(Exception):
    """What a peer needs could not be installed."""


def python_of(name: str) -> Path:
    """Return the Python of the environment with the pinned requirements of `peers/NAME.txt`.

    Raises:
        InstallationFailed: with what pip said.
    """
    folder, wanted = MADE / name, (PEERS / f"{name}.txt").read_text()
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = f"Python {sys.version}\n{wanted}"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {name} into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    # Our own pip fills it: a copy of pip in each would take longer than most peers.
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    _run(*pip, "install", "--quiet", "--requirement", str(PEERS / f"{name}.txt"))
    stamp.write_text(wanted)
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        why = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1])
        raise InstallationFailed(f"{' '.join(command[1:])} failed: {why}")
