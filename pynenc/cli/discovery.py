"""Which app a command is about."""

from __future__ import annotations

import ast
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pynenc.core.loading import apps_in, import_module
from pynenc.errors import ConfigurationError, PynencError

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_PASSED_OVER = {"tests", "test", "docs", "build", "dist", "node_modules", "site-packages", "venv"}
_MAKERS = ("Pynenc", "PynencBuilder")


def find_app(location: str | None) -> Pynenc:
    """Return the app that `location` names; None: the only one of the working folder.

    Raises:
        ConfigurationError: there is none, or more than one, or importing it fails; says what to write.
    """
    folder = Path.cwd()
    _put_first_on_path(folder)
    if location is None:
        path = _only_file_with_an_app(folder)
        return _of_module(_import_file(path), "", os.path.relpath(path, folder))
    place, _, attribute = location.partition(":")
    if place.endswith(".py"):
        return _of_module(_import_file(Path(place).resolve()), attribute, location)
    return _of_module(*_import_named(place, attribute), location)


def makes_an_app(path: Path) -> bool:
    """Whether a file assigns the result of `Pynenc(...)` at its top level. Reads it; runs nothing."""
    return any(
        _calls_pynenc(node.value)
        for node in _statements(path)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
    )


def has_main_guard(path: Path) -> bool:
    """Whether a file has `if __name__ == "__main__":` at its top level. Reads it; runs nothing."""
    return any(
        isinstance(node, ast.If)
        and any(isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(node.test))
        for node in _statements(path)
    )


# --- by name --------------------------------------------------------------------------------------------


def _import_named(place: str, attribute: str) -> tuple[ModuleType, str]:
    """Import a module; where there is none of that name, the last part may name its app."""
    if all(part.isidentifier() for part in place.split(".")):
        module = _import_if_there(place)
        if module is not None:
            return module, attribute
        parent, _, last = place.rpartition(".")
        module = _import_if_there(parent) if parent and not attribute else None
        if module is not None:
            return module, last
    raise ConfigurationError(
        f"--app {place}: there is no such module; name one that can be imported from here, or FILE.py"
    )


def _import_if_there(name: str) -> ModuleType | None:
    with _explained(f"--app {name}"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            return None


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigurationError(f"--app {path}: there is no such file")
    name, root = _dotted_name(path)
    _put_first_on_path(root)
    with _explained(f"--app {path}"):
        module = import_module(name, str(path))
    if module.__file__ is None or Path(module.__file__).resolve() != path:
        raise ConfigurationError(f"--app {path}: the name {name!r} belongs to {module!r}; rename the file")
    return module


def _dotted_name(path: Path) -> tuple[str, Path]:
    """Return under which name a file is imported, and from which folder: what submitters in its package say too."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def _put_first_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@contextmanager
def _explained(subject: str) -> Iterator[None]:
    """Say which line of the user's code failed: without a traceback the error alone would not tell."""
    try:
        yield
    except PynencError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigurationError(
            f"{subject}: importing it raised {type(error).__name__}: {error} ({last.filename}:{last.lineno}); "
            "-v shows the traceback"
        ) from error


def _of_module(module: ModuleType, attribute: str, location: str) -> Pynenc:
    apps = apps_in(module)
    if attribute:
        if attribute not in apps:
            raise ConfigurationError(f"--app {location}: {module.__name__} has no app {attribute!r}{_has(apps)}")
        return apps[attribute]
    if not apps:
        raise ConfigurationError(f"--app {location}: {module.__name__} has no app; write app = Pynenc() in it")
    if len(set(map(id, apps.values()))) > 1:
        raise ConfigurationError(
            f"--app {location}: {module.__name__} has several apps{_has(apps)}; "
            f"choose one with --app {module.__name__}:{next(iter(apps))}"
        )
    return next(iter(apps.values()))


def _has(apps: dict[str, Pynenc]) -> str:
    return f" (it has {', '.join(apps)})" if apps else ""


# --- by looking around ----------------------------------------------------------------------------------


def _only_file_with_an_app(folder: Path) -> Path:
    found = [path for path in _python_files(folder) if makes_an_app(path)]
    if not found:
        raise ConfigurationError(
            "no file in this folder makes an app (app = Pynenc()); write one, or name it with --app MODULE or "
            "--app FILE.py"
        )
    if len(found) > 1:
        listed = ", ".join(str(path.relative_to(folder)) for path in found)
        raise ConfigurationError(
            f"several files in this folder make an app: {listed}; "
            f"choose one, such as --app {found[0].relative_to(folder)}"
        )
    return found[0]


def _python_files(folder: Path) -> list[Path]:
    packages = [
        each
        for each in folder.iterdir()
        if each.is_dir() and each.name not in _PASSED_OVER and (each / "__init__.py").exists()
    ]
    files = [*folder.glob("*.py"), *(file for package in packages for file in package.glob("*.py"))]
    return sorted(path for path in files if not path.name.startswith("test_") and path.name != "conftest.py")


def _statements(path: Path) -> list[ast.stmt]:
    try:
        return ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, OSError):
        return []


def _calls_pynenc(value: ast.expr) -> bool:
    return any(_named(node.func) in _MAKERS for node in ast.walk(value) if isinstance(node, ast.Call))


def _named(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
