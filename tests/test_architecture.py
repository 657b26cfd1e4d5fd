"""Imports point one way: model ← io ← ports ← core ← runners, app; only the composition names backends.

Imports for type checkers alone may point anywhere from the upper parts; the lower ones (`MAY_IMPORT`) need none.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pynenc"

FOUNDATION = {"errors", "clock", "io", "model", "polling"}
STORES = FOUNDATION | {"wire", "ports"}
# What each part may import besides itself, when its modules are loaded or later.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "io": set(),
    "polling": set(),
    "model": set(),
    "conf": set(),
    "limits": {"errors"},
    "ports": FOUNDATION,
    "wire": {"errors", "model"},
    "serializers": {"errors", "model", "ports"},
    "scheduling": FOUNDATION | {"ports"},
    "backends": STORES,
    "brokers": STORES,
    "data_stores": STORES,
    "composition": FOUNDATION | {"ports", "backends", "data_stores", "scheduling"},
    # Published names of what lives elsewhere.
    "exceptions": {"errors"},
    "runner": {"runners"},
    "serializer": {"serializers"},
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
    "middleware": {"app", "task", "runners", "backends", "cli", "testing", "core", "invocation", "call"},
    "integrations": {"app", "task", "runners", "backends", "cli", "testing", "core"},
    "context": {"app", "task", "runners", "backends", "cli", "testing", "core"},
    "worker": {"app", "task", "backends", "cli", "testing", "builder"},
    "builder": {"app", "task", "runners", "backends", "cli", "testing", "core"},
    "cli": {"app", "task", "runners", "backends", "testing", "builder"},
    # `import pynenc` loads nothing; each name is loaded when it is first asked for.
    "__init__": {"app", "builder", "conf", "context", "errors", "invocation", "task", "core", "runners", "cli"},
    "__main__": {"app", "backends", "testing"},
}
MAY_IMPORT_ANYTHING = {"testing"}
NAMES_BACKENDS = {"composition", "backends", "testing"}


LONGEST_FILE = 500
LONGER: dict[str, str] = {
    "pynenc/testing/differential.py": "one vocabulary: every operation of the engine as a command",
    "pynenc/model/records.py": "one table: every record of the engine, each with what its fields mean",
    "pynenc/testing/simulation/simulator.py": "one interleaving: all actors share its clock and its choices",
}
HEAVY = {"asyncio", "sqlite3", "pydantic", "yaml", "rich", "click", "multiprocessing", "logging", "subprocess"}


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


def test_every_part_has_its_rule() -> None:
    assert set(PARTS) - set(MAY_IMPORT) - set(NOT_WHILE_LOADING) - MAY_IMPORT_ANYTHING == set()


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
    shared = {path.stem for path in (PACKAGE / "backends").glob("*.py")}
    for folder in (path for path in (PACKAGE / "backends").iterdir() if path.is_dir()):
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynenc.backends."):
                    assert (node.module or "").split(".")[2] in {folder.name, *shared}, f"{file}:{node.lineno}"


@pytest.mark.parametrize("statement", ["import pynenc", "from pynenc import Pynenc, PynencBuilder, Task"])
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    # msgspec loads typing_extensions, and what that loads, where it happens to be installed.
    script = f"import sys, msgspec; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"

    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert "pynenc" in loaded
    assert HEAVY & set(loaded) == set()
    assert [name for name in loaded if name.startswith("pynenc.backends")] == []


def test_no_file_is_long_without_a_reason() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in PACKAGE.rglob("*.py")
    }

    assert {name for name, length in lengths.items() if length > LONGEST_FILE} == set(LONGER)


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
