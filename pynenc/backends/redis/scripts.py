"""The scripts, made from the files of `protocol/redis` as its README says."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache

from msgspec import Struct

from pynenc.backends.protocol_files import read_text

_INCLUDE = re.compile(r"--- (include|gated|plain) (\S+)$")
_PIECES = re.compile(r"('(?:\\.|[^'\\])*')|([^']+)")
_NAME = re.compile(r"\b[A-Z][A-Z_]+\b")


class Script(Struct, frozen=True):
    """One operation."""

    name: str
    text: str
    sha: str
    """SHA-1 of the text: what `EVALSHA` calls it by."""


@cache
def load(name: str, *, gated: bool = False) -> Script:
    """Return the script of an operation.

    Args:
        gated: the build that knows of gates.
    """
    text = "\n".join(_lines(f"{name}.lua", "gated" if gated else "plain", set())) + "\n"
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _lines(file: str, build: str, included: set[str]) -> list[str]:
    lines: list[str] = []
    for line in read_text(f"redis/{file}").splitlines():
        include = _INCLUDE.match(line.strip())
        if include is not None:
            if include[1] in ("include", build) and include[2] not in included:
                included.add(include[2])
                lines += _lines(include[2], build, included)
        elif line.strip() and not line.lstrip().startswith("--"):
            lines.append(_with_constants(line))
    return lines


def _with_constants(line: str) -> str:
    return "".join(quoted or _NAME.sub(_value, code) for quoted, code in _PIECES.findall(line))


def _value(name: re.Match[str]) -> str:
    value = _constants().get(name[0])
    if value is None:
        return name[0]
    return f"'{value}'" if isinstance(value, str) else str(value)


@cache
def _constants() -> dict[str, str | int]:
    constants: dict[str, str | int] = json.loads(read_text("redis/constants.json"))
    return constants
