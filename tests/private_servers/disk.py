"""A disk of its own for a test: whose power may be cut, or which is soon full. Needs root and Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import pytest


class Disk:
    """A file system in a file, mounted while the context lasts.

    What programs have written but not synced is in the memory of the kernel, not in the file: a copy of the file is
    what would be there after a loss of power. `keep_what_is_synced` takes that copy, `lose_power` puts it in the place
    of the file system; nobody may have a file open there at that moment.
    """

    def __init__(self, size_mb: int = 512) -> None:
        if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
            pytest.skip("needs root, mkfs.ext4 and loop devices")
        self._size_mb = size_mb
        self._folder = Path(tempfile.mkdtemp(prefix="pynenc-test-disk-", dir="/tmp"))
        self._folder.chmod(0o711)
        self._image = self._folder / "image"
        self._kept = self._folder / "kept"
        self.path = self._folder / "disk"

    def __enter__(self) -> Disk:
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(self._size_mb * 1_000_000)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        try:
            self._mount(self._image)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(self._folder)
            pytest.skip(f"no loop devices here: {error.stderr.decode().strip()}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _run("umount", "-l", str(self.path))
        shutil.rmtree(self._folder)

    def folder(self, name: str, account: str | None = None) -> Path:
        """Make a folder on it, for an account if one is given."""
        made = self.path / name
        made.mkdir()
        if account is not None:
            shutil.chown(made, account)
        return made

    def sync(self) -> None:
        """Have everything written so far survive."""
        _run("sync", "-f", str(self.path))

    def keep_what_is_synced(self) -> None:
        """Remember what a loss of power would leave now; whoever writes has to be halted."""
        _run("cp", "--sparse=always", str(self._image), str(self._kept))

    def lose_power(self) -> None:
        """Go back to what was kept."""
        _run("umount", str(self.path))
        self._kept.replace(self._image)
        self._mount(self._image)

    def _mount(self, image: Path) -> None:
        # Nothing is to be written of its own accord: commits of the journal come from programs that sync.
        _run("mount", "-o", "loop,noatime,commit=600", str(image), str(self.path))
        self.path.chmod(0o711)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
