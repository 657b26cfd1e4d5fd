"""The systems that are measured beside each other."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import partial
from typing import Literal, TypeAlias

from msgspec import Struct

from benchmarks.environments import PEERS, python_of
from benchmarks.system import System
from benchmarks.systems.bare_store import BareStore
from benchmarks.systems.peer import Peer
from benchmarks.systems.pynenc_here import PynencHere

Kind: TypeAlias = Literal["pynenc", "bare", "peer"]


class Entry(Struct, frozen=True, kw_only=True):
    """One system: how to make it, and how much of it to ask."""

    key: str
    """As the command line names it."""
    name: str
    kind: Kind
    store: str
    environment: str = ""
    """Of a peer: its requirements and its driver in `benchmarks/peers`."""
    share: float = 1.0
    """Of the number of tasks: less for systems that are much slower."""

    def make(self) -> System:
        """Return the system, not started yet."""
        if self.kind == "peer":
            return Peer(self.store, f"{self.environment}_peer", partial(python_of, self.environment))
        return (PynencHere if self.kind == "pynenc" else BareStore)(self.store)

    def configured(self) -> str:
        """Return how it was set up, as its module tells."""
        module = PEERS / f"{self.environment}_peer.py"
        if self.kind == "peer":
            return _one_line(ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))))
        return _one_line((PynencHere if self.kind == "pynenc" else BareStore).__doc__)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _pynenc(name: str, store: str) -> Entry:
    return Entry(key=f"pynenc-{store}", name=f"Pynenc ({name})", kind="pynenc", store=store)


def _bare(what: str, name: str, store: str) -> Entry:
    return Entry(key=f"bare-{store}", name=f"bare {what} ({name})", kind="bare", store=store)


def _peer(name: str, store: str, environment: str, *, share: float) -> Entry:
    key = environment.replace("_", "-") + ("-sqlite" if store == "sqlite" else "")
    return Entry(key=key, name=name, kind="peer", store=store, environment=environment, share=share)


CATALOGUE = (
    _pynenc("SQLite", "sqlite"),
    _bare("operations", "SQLite", "sqlite"),
    _peer("Huey (SQLite)", "sqlite", "huey", share=0.2),
    _pynenc("Redis", "redis"),
    _bare("scripts", "Redis", "redis"),
    _peer("Dramatiq (Redis)", "redis", "dramatiq", share=0.4),
    _peer("Taskiq (Redis stream)", "redis", "taskiq", share=0.2),
    _peer("Huey (Redis)", "redis", "huey", share=0.2),
    _peer("arq (Redis)", "redis", "arq", share=0.1),
    _peer("Celery (Redis)", "redis", "celery", share=0.1),
    _peer("RQ (Redis)", "redis", "rq", share=0.1),
    _peer("Pynenc as published (Redis)", "redis", "pynenc_published", share=0.02),
    _pynenc("Redis without AOF", "redis-no-aof"),
    _bare("scripts", "Redis without AOF", "redis-no-aof"),
    _pynenc("PostgreSQL", "postgresql"),
    _bare("statements", "PostgreSQL", "postgresql"),
    _peer("Procrastinate (PostgreSQL)", "postgresql", "procrastinate", share=0.1),
)
"""In the order of measurement: what is compared is measured close together."""


def chosen(keys: Sequence[str]) -> list[Entry]:
    """Return the systems of these keys, all if there are none.

    Raises:
        SystemExit: a key names nothing.
    """
    known = {entry.key: entry for entry in CATALOGUE}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise SystemExit(f"unknown system {', '.join(unknown)}; known are {', '.join(known)}")
    return [known[key] for key in keys] or list(CATALOGUE)
