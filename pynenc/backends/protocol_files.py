"""The files that stores share with runners of other languages: scripts and statements of `protocol/`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_INSTALLED = Path(__file__).parents[1] / "_protocol"
_SOURCES = Path(__file__).parents[2] / "protocol"


def folder() -> Path:
    """Return where the protocol files are: inside the installed package, or at the top of a source tree."""
    return _INSTALLED if _INSTALLED.is_dir() else _SOURCES


@cache
def read_text(name: str) -> str:
    """Return the text of one file, named from `protocol/` on (`redis/submit.lua`)."""
    return (folder() / name).read_text(encoding="utf-8")


@cache
def names(subfolder: str, suffix: str) -> tuple[str, ...]:
    """Return the names of the files of one subfolder that end in `suffix`, sorted."""
    return tuple(sorted(f"{subfolder}/{path.name}" for path in (folder() / subfolder).glob(f"*{suffix}")))
