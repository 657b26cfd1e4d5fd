"""Which app a command is about."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pynenc.core.loading import apps_in, import_module
from pynenc.errors import ConfigurationError

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_PASSED_OVER = {"tests", "test", "docs", "build", "dist", "node_modules", "site-packages", "venv"}


def find_app(location: str | None) -> Pynenc:
    """Return the app that `location` names; None: the only one of the working folder.

    Raises:
        ConfigurationError: there is none, or more than one; says what to write.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return _only_app_here(Path(folder)) if location is None else _named(location)


def _named(location: str) -> Pynenc:
    place, _, attribute = location.partition(":")
    if place.endswith(".py"):
        return _of_module(_import_file(place), attribute, location)
    try:
        return _of_module(importlib.import_module(place), attribute, location)
    except ModuleNotFoundError as error:
        module, _, last = place.rpartition(".")
        if not module or attribute or error.name not in (place, place.partition(".")[0], None):
            raise _cannot_import(location, error) from error
        try:
            return _of_module(importlib.import_module(module), last, location)
        except ModuleNotFoundError as other:
            raise _cannot_import(location, other) from other


def _import_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise ConfigurationError(f"--app {place}: there is no such file")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return import_module(path.stem, str(path))


def _cannot_import(location: str, error: ImportError) -> ConfigurationError:
    return ConfigurationError(f"--app {location}: {error}; name a module that can be imported from here, or FILE.py")


def _of_module(module: ModuleType, attribute: str, location: str) -> Pynenc:
    apps = apps_in(module)
    if attribute:
        if attribute not in apps:
            raise ConfigurationError(f"--app {location}: {module.__name__} has no app {attribute!r}{_has(apps)}")
        return apps[attribute]
    if len(set(map(id, apps.values()))) != 1:
        raise ConfigurationError(
            f"--app {location}: {module.__name__} has {'several apps' if apps else 'no app'}{_has(apps)}; "
            f"write --app {module.__name__}:NAME"
        )
    return next(iter(apps.values()))


def _has(apps: dict[str, Pynenc]) -> str:
    return f" (it has {', '.join(apps)})" if apps else ""


def _only_app_here(folder: Path) -> Pynenc:
    candidates = [path for path in _python_files(folder) if _makes_an_app(path)]
    if not candidates:
        raise ConfigurationError(
            "no file in this folder makes an app (app = Pynenc()); write one, or name it with --app MODULE or "
            "--app FILE.py"
        )
    if len(candidates) > 1:
        listed = ", ".join(str(path.relative_to(folder)) for path in candidates)
        raise ConfigurationError(f"several files in this folder make an app: {listed}; choose one with --app FILE.py")
    path = candidates[0]
    parts = path.relative_to(folder).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    module = import_module(name, str(path)) if len(parts) == 1 else importlib.import_module(name)
    return _of_module(module, "", str(path.relative_to(folder)))


def _python_files(folder: Path) -> list[Path]:
    packages = [
        each
        for each in folder.iterdir()
        if each.is_dir() and (each / "__init__.py").exists() and each.name not in _PASSED_OVER
    ]
    return sorted([*folder.glob("*.py"), *(file for package in packages for file in package.glob("*.py"))])


def _makes_an_app(path: Path) -> bool:
    """Whether a file assigns the result of `Pynenc(...)` at its top level. Reads it; runs nothing."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return False
    return any(
        _calls_pynenc(node.value) for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
    )


def _calls_pynenc(value: ast.expr) -> bool:
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in ("Pynenc", "PynencBuilder"):
                return True
    return False
