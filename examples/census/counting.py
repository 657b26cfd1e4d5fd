"""What is counted, and how: plain functions that know nothing of tasks."""

from __future__ import annotations

import ast
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Nodes: TypeAlias = dict[type[ast.AST], list[Any]]
"""The nodes of a syntax tree by their class; an absent class has none."""

_SOURCE_NAME = "<census>"
_BRANCHING = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
)

# Some sources of the library warn when parsed; tests of the parser do so on purpose.
warnings.filterwarnings("ignore", module=_SOURCE_NAME)


@dataclass(frozen=True, slots=True)
class FileCount:
    """What one source file has."""

    path: str
    """Relative to its root, with slashes."""
    module: str
    lines: int = 0
    functions: int = 0
    classes: int = 0
    branches: int = 0
    imports: tuple[str, ...] = ()
    """Top-level names of what it imports, sorted; without relative imports."""
    problem: str = ""
    """Why it could not be parsed; its lines are counted all the same."""

    @property
    def top(self) -> str:
        """The top-level package or module it belongs to."""
        return self.module.partition(".")[0]


@dataclass(frozen=True, slots=True)
class PackageCount:
    """What the files of one package have, in order of their paths."""

    name: str
    files: tuple[FileCount, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over files."""

    files: int
    unparsed: int
    lines: int
    functions: int
    classes: int
    branches: int


@dataclass(frozen=True, slots=True)
class ImportGraph:
    """Who imports whom, between top-level packages and modules that were counted."""

    importers: dict[str, int]
    """Name to the number of files elsewhere that import it."""
    edges: dict[str, dict[str, int]]
    """Importing name to imported name to the number of files that do."""


@dataclass(frozen=True, slots=True)
class Census:
    """All that was found."""

    packages: tuple[PackageCount, ...]
    graph: ImportGraph

    @property
    def files(self) -> list[FileCount]:
        return [file for package in self.packages for file in package.files]

    @property
    def totals(self) -> Totals:
        return sum_up(self.files)


def count_file(root: str, path: str) -> FileCount:
    """Count one file below `root`."""
    return count_source(path, Path(root, path).read_bytes())


def count_source(path: str, source: bytes) -> FileCount:
    """Count the content of one file. What cannot be parsed has its lines counted, and a `problem`."""
    lines = source.count(b"\n") + (0 if source.endswith(b"\n") or not source else 1)
    module = module_name(path)
    try:
        tree = ast.parse(source, _SOURCE_NAME)
    except (SyntaxError, ValueError) as error:
        return FileCount(path, module, lines, problem=f"{type(error).__name__}: {error}")
    nodes: Nodes = defaultdict(list)
    for node in ast.walk(tree):
        nodes[type(node)].append(node)
    return FileCount(
        path,
        module,
        lines,
        functions=sum(len(nodes[kind]) for kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)),
        classes=len(nodes[ast.ClassDef]),
        branches=_branches(nodes),
        imports=tuple(sorted(_imported(nodes))),
    )


def module_name(path: str) -> str:
    """Return the dotted name of the module in the file `path`."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _branches(nodes: Nodes) -> int:
    """Return how much there is beyond one way through the code: McCabe's count without the ones of the functions."""
    return (
        sum(len(nodes[kind]) for kind in _BRANCHING)
        + sum(len(node.values) - 1 for node in nodes[ast.BoolOp])
        + sum(1 + len(node.ifs) for node in nodes[ast.comprehension])
    )


def _imported(nodes: Nodes) -> set[str]:
    plain = {alias.name.partition(".")[0] for node in nodes[ast.Import] for alias in node.names}
    return plain | {node.module.partition(".")[0] for node in nodes[ast.ImportFrom] if node.level == 0}


def package_count(name: str, files: Iterable[FileCount]) -> PackageCount:
    """Put the files of a package together, in whatever order they were counted."""
    return PackageCount(name, tuple(sorted(files, key=lambda file: file.path)))


def in_order(packages: Iterable[PackageCount]) -> tuple[PackageCount, ...]:
    """Put packages in order, in whatever order they were counted."""
    return tuple(sorted(packages, key=lambda package: (package.name, package.files[0].path)))


def imports_by_name(package: PackageCount) -> dict[str, dict[str, int]]:
    """Return for each top-level name in the package how many of its files import what."""
    counted: dict[str, Counter[str]] = {}
    for file in package.files:
        counted.setdefault(file.top, Counter()).update(file.imports)
    return {name: dict(sorted(imports.items())) for name, imports in sorted(counted.items())}


def build_import_graph(imports: Sequence[dict[str, dict[str, int]]]) -> ImportGraph:
    """Join the imports of all packages. Names that were not counted themselves, and a name's own, are left out."""
    counted = {name for part in imports for name in part}
    edges: dict[str, Counter[str]] = {name: Counter() for name in sorted(counted)}
    for part in imports:
        for name, targets in part.items():
            edges[name].update({t: n for t, n in targets.items() if t in counted and t != name})
    importers: Counter[str] = Counter()
    for targets in edges.values():
        importers.update(targets)
    return ImportGraph(
        importers={name: importers[name] for name in sorted(counted)},
        edges={name: dict(sorted(targets.items())) for name, targets in edges.items()},
    )


def sum_up(files: Sequence[FileCount]) -> Totals:
    """Add up what the files have."""
    return Totals(
        files=len(files),
        unparsed=sum(bool(file.problem) for file in files),
        lines=sum(file.lines for file in files),
        functions=sum(file.functions for file in files),
        classes=sum(file.classes for file in files),
        branches=sum(file.branches for file in files),
    )
