"""What was measured, as the JSON file that the page of figures is made from.

A run replaces the parts that it measured and keeps the others, so that each can be repeated alone; every part says how,
when and on what it was taken.
"""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct, field

from benchmarks.services import stores_in_use, version_of
from pynenc import __version__

Rates: TypeAlias = dict[str, float]


class Setting(Struct, kw_only=True):
    """Under which circumstances something was measured."""

    command: str
    date: str
    machine: str
    cores: int
    versions: dict[str, str]


class SystemReport(Struct, kw_only=True):
    """What was measured of one system."""

    name: str
    kind: str
    store: str
    tasks: int
    """Of one round from end to end."""
    versions: dict[str, str] = field(default_factory=dict)
    rounds: list[Rates] = field(default_factory=list)
    failure: str = ""
    """Why it was not measured, or no longer."""

    def medians(self) -> Rates:
        """Return the median of each figure."""
        return {name: statistics.median(each[name] for each in self.rounds) for name in (self.rounds or [{}])[0]}


class Comparison(Struct, kw_only=True):
    """Pynenc beside its peers."""

    setting: Setting
    systems: dict[str, SystemReport]
    """By the key of the catalogue, in the order of measurement."""


class Figure(Struct, kw_only=True):
    """One number, and what it should be."""

    what: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""
    """What it is made of."""


class Series(Struct, kw_only=True):
    """One line of a plot."""

    plot: str
    name: str
    points: list[tuple[float, float]]


class Measured(Struct, kw_only=True):
    """What one measurement found."""

    figures: list[Figure] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)


class Taken(Struct, kw_only=True):
    """A measurement and its circumstances."""

    setting: Setting
    measured: Measured


class Record(Struct, kw_only=True):
    """Everything."""

    comparison: Comparison | None = None
    alone: dict[str, Taken] = field(default_factory=dict)
    """By the name of the measurement."""


def load(path: Path) -> Record:
    """Return what a file holds, nothing if there is none."""
    if not path.exists():
        return Record()
    return msgspec.json.decode(path.read_bytes(), type=Record)


def save(record: Record, path: Path) -> None:
    """Write a file that people can compare."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def setting(arguments: Sequence[str]) -> Setting:
    """Return the circumstances of a run of `make bench` with these arguments, on the stores that it used so far."""
    servers = {"sqlite": "SQLite", "redis": "Redis", "redis-no-aof": "Redis", "postgresql": "PostgreSQL"}
    return Setting(
        command=f'make bench BENCH="{shlex.join(arguments)}"',
        date=time.strftime("%Y-%m-%d"),
        machine=platform.machine(),
        cores=os.cpu_count() or 0,
        versions={
            "Pynenc": __version__,
            platform.python_implementation(): platform.python_version(),
            **{servers[store]: version_of(store) for store in stores_in_use()},
        },
    )
