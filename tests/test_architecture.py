"""Imports point one way: model ← io ← ports ← core ← runners, app; only the composition names backends."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pynenc"

FOUNDATION = {"errors", "clock", "io", "model"}
STORES = FOUNDATION | {"wire", "ports"}
# What each part may import besides itself, when its modules are loaded or later.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "io": set(),
    "model": set(),
    "ports": FOUNDATION,
    "wire": FOUNDATION | {"ports"},
    "serializers": {"errors", "ports"},
    "scheduling": FOUNDATION | {"ports"},
    "backends": STORES,
    "brokers": STORES,
    "data_stores": STORES,
    "composition": FOUNDATION | {"ports", "backends", "scheduling"},
}
# What each part may not import while its modules are loaded; a function may, where a name is needed at run time.
NOT_WHILE_LOADING: dict[str, set[str]] = {
    "core": {"app", "task", "runners", "backends", "cli", "testing", "builder"},
    "runners": {"app", "task", "backends", "cli", "testing", "builder"},
    "invocation": {"app", "runners", "backends", "cli", "testing", "builder"},
    "config": {"app", "task", "runners", "backends", "cli", "testing", "core", "invocation"},
    "logs": {"app", "task", "runners", "backends", "cli", "testing", "core", "invocation"},
    "app": {"backends", "cli", "testing", "builder"},
    "task": {"backends", "cli", "testing", "builder", "runners"},
    "call": {"app", "task", "runners", "backends", "cli", "testing", "core"},
    "context": {"app", "task", "runners", "backends", "cli", "testing", "core"},
}
NAMES_BACKENDS = {"composition", "backends", "testing"}


class Import(NamedTuple):
    """One import: from where, of what part of the package, and when it happens."""

    file: str
    line: int
    part: str
    when: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports pynenc.{self.part} ({self.when})"


class _Finder(ast.NodeVisitor):
    def __init__(self, file: Path) -> None:
        self.file = str(file.relative_to(ROOT))
        self.found: list[Import] = []
        self._when = "loading"

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            self._visit_as("typing", node.body)
            self._visit_as(self._when, node.orelse)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_as("running", node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_as("running", node.body)

    def _visit_as(self, when: str, body: list[ast.stmt]) -> None:
        before, self._when = self._when, when
        for statement in body:
            self.visit(statement)
        self._when = before

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._note(node.lineno, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, f"{self.file}:{node.lineno}: imports name the whole path"
        if node.module == "pynenc":
            for alias in node.names:
                self._note(node.lineno, f"pynenc.{alias.name}")
        else:
            self._note(node.lineno, node.module or "")

    def _note(self, line: int, module: str) -> None:
        package, _, rest = module.partition(".")
        if package == "pynenc":
            self.found.append(Import(self.file, line, rest.partition(".")[0], self._when))


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(part: str) -> Iterator[Import]:
    for file in sorted(PACKAGE.rglob("*.py")):
        if part_of(file) == part:
            finder = _Finder(file)
            finder.visit(ast.parse(file.read_text(encoding="utf-8")))
            yield from finder.found


PARTS = sorted({part_of(file) for file in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("part", sorted(set(MAY_IMPORT) & set(PARTS)))
def test_a_lower_part_imports_only_what_is_below_it(part: str) -> None:
    allowed = MAY_IMPORT[part] | {part}

    assert [str(each) for each in imports_of(part) if each.part not in allowed] == []


@pytest.mark.parametrize("part", sorted(set(NOT_WHILE_LOADING) & set(PARTS)))
def test_an_upper_part_loads_without_what_is_above_it(part: str) -> None:
    forbidden = NOT_WHILE_LOADING[part]

    assert [str(each) for each in imports_of(part) if each.when == "loading" and each.part in forbidden] == []


@pytest.mark.parametrize("part", sorted(set(PARTS) - NAMES_BACKENDS))
def test_only_the_composition_names_backends(part: str) -> None:
    assert [str(each) for each in imports_of(part) if each.part == "backends" and each.when != "typing"] == []


def test_no_backend_is_named_in_a_text_elsewhere() -> None:
    named = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if part_of(file) not in NAMES_BACKENDS
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and str(node.value).startswith("pynenc.backends")
    ]

    assert named == []


def test_the_composition_loads_no_backend() -> None:
    assert [str(each) for each in imports_of("composition") if each.part == "backends" and each.when == "loading"] == []


def test_one_backend_does_not_know_another() -> None:
    for folder in (path for path in (PACKAGE / "backends").iterdir() if path.is_dir()):
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynenc.backends."):
                    assert (node.module or "").split(".")[2] == folder.name, f"{file}:{node.lineno}"


def test_the_rules_notice_an_import_wherever_it_stands() -> None:
    finder = _Finder(PACKAGE / "imagined.py")
    finder.visit(
        ast.parse(
            "from typing import TYPE_CHECKING\n"
            "from pynenc.model.ids import x\n"
            "if TYPE_CHECKING:\n    from pynenc.app import Pynenc\n"
            "class A:\n    def f(self):\n        import pynenc.backends.sqlite\n"
            "async def g():\n    from pynenc import task\n"
        )
    )

    assert [(each.part, each.when) for each in finder.found] == [
        ("model", "loading"),
        ("app", "typing"),
        ("backends", "running"),
        ("task", "running"),
    ]
