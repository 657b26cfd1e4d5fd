"""Which files are counted."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

SINGLE_MODULES = "(single modules)"
"""The package that stands for modules without one."""

_SKIPPED = {"site-packages", "dist-packages", "__pycache__"}
_ENOUGH = 1_000


@dataclass(frozen=True, slots=True)
class Package:
    """The source files of one package below a root."""

    name: str
    root: str
    paths: tuple[str, ...]


def library_packages() -> list[Package]:
    """Return the standard library of this interpreter, package by package.

    Where a distribution ships it without its tests and tools, and fewer than a thousand files are left, the packages
    installed in this environment are counted too.
    """
    packages = packages_below(Path(sysconfig.get_path("stdlib")))
    if file_count(packages) < _ENOUGH:
        packages += packages_below(Path(sysconfig.get_path("purelib")))
    return packages


def packages_below(root: Path) -> list[Package]:
    """Return the packages below `root` by name, single modules first."""
    paths = sorted(_paths(root), key=lambda path: (_package(path), path))
    return [Package(name, str(root), tuple(group)) for name, group in groupby(paths, key=_package)]


def file_count(packages: list[Package]) -> int:
    return sum(len(package.paths) for package in packages)


def _paths(root: Path) -> Iterator[str]:
    for file in root.rglob("*.py"):
        relative = file.relative_to(root)
        if not _SKIPPED.intersection(relative.parts):
            yield relative.as_posix()


def _package(path: str) -> str:
    name, slash, _ = path.partition("/")
    return name if slash else SINGLE_MODULES
