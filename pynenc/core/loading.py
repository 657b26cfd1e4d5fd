"""How one process finds the app and the tasks that another one speaks of."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pynenc.errors import ConfigurationError, RunnerError, TaskNotFound
from pynenc.serializers.names import module_name

if TYPE_CHECKING:
    from pynenc.app import Pynenc


class AppReference(Struct, frozen=True, kw_only=True):
    """Where an app is defined, and what was set on it at run time: enough to have it in a new process."""

    module: str
    file: str | None
    attribute: str | None
    app_id: str
    overrides: dict[str, Any] = {}
    """Configuration values assigned at run time; plain JSON types."""
    sys_path: tuple[str, ...] = ()


def task_id_of(func: Callable[..., Any]) -> str:
    """Return `module.qualified_name`; of a script its file's name stands for `__main__`."""
    return f"{module_name(func.__module__)}.{func.__qualname__}"


def defining_module() -> tuple[str, str | None]:
    """Return name and file of the nearest module outside this package on the call stack."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "pynenc":
        frame = frame.f_back
    if frame is None:
        return "__main__", None
    file = frame.f_globals.get("__file__")
    return str(frame.f_globals.get("__name__", "__main__")), str(Path(file).resolve()) if file else None


def reference_to(app: Pynenc, module: str, file: str | None, overrides: Mapping[str, Any]) -> AppReference:
    """Return how another process gets this app.

    Raises:
        RunnerError: it is defined where no other process can import it.
    """
    name = module_name(module)
    if name == "__main__" or (file is None and module == "__main__"):
        raise RunnerError(
            f"app {app.app_id!r} is defined in an interactive session: other processes cannot import it; put it into a "
            "file, or use a thread or asyncio runner"
        )
    found = sys.modules.get(module)
    attribute = next((key for key, value in vars(found).items() if value is app), None) if found else None
    return AppReference(
        module=name,
        file=file,
        attribute=attribute,
        app_id=app.app_id,
        overrides=dict(overrides),
        sys_path=tuple(entry or "." for entry in sys.path),
    )


def load_app(reference: AppReference) -> Pynenc:
    """Return the app that `reference` names, importing its module.

    Raises:
        ConfigurationError: the module cannot be imported, or defines no such app.
    """
    for entry in reversed(reference.sys_path):
        if entry not in sys.path:
            sys.path.insert(0, entry)
    module = import_module(reference.module, reference.file)
    app = _find_app(module, reference)
    for field, value in reference.overrides.items():
        setattr(app.conf, field, value)
    return app


def import_home_of(task_id: str) -> None:
    """Import the module that defines a task, as far as there is one.

    Raises:
        TaskNotFound: that module imports what is not there.
    """
    module = task_id.rpartition(".")[0]
    while module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
                raise TaskNotFound(f"the module of task {task_id!r} cannot be imported: {error}") from error
            module = module.rpartition(".")[0]
        else:
            return


def import_module(name: str, file: str | None) -> ModuleType:
    """Import a module by name, or from its file if the name does not lead there."""
    existing = sys.modules.get(name)
    if existing is not None:
        return existing
    if file is None or _leads_to(name, file):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{file} cannot be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _leads_to(name: str, file: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == Path(file).resolve()


def apps_in(module: ModuleType) -> dict[str, Pynenc]:
    """Return the apps a module has at its top level, by name."""
    from pynenc.app import Pynenc

    return {name: value for name, value in vars(module).items() if isinstance(value, Pynenc)}


def _find_app(module: ModuleType, reference: AppReference) -> Pynenc:
    apps = apps_in(module)
    if reference.attribute in apps:
        return apps[reference.attribute]
    for app in apps.values():
        if app.app_id == reference.app_id:
            return app
    raise ConfigurationError(
        f"module {module.__name__!r} has no app {reference.app_id!r} at its top level"
        + (f"; it has {', '.join(apps)}" if apps else "")
    )
