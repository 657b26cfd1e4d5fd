"""How stored values name classes."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path


def module_name(name: str) -> str:
    """Return under which name other processes import a module of this one."""
    if name != "__main__":
        return name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"


def name_of(cls: type) -> str:
    """Return `module:Qualified.Name`; of a script its file's name stands for `__main__`."""
    return f"{module_name(cls.__module__)}:{cls.__qualname__}"


@lru_cache(maxsize=1024)
def public_name_of(cls: type) -> str:
    """Return the name of a class that other processes can find under it.

    Raises:
        LookupError: they cannot: it was defined in a function, or its name leads to something else; the text tells.
    """
    if "<locals>" in cls.__qualname__:
        raise LookupError(f"{cls.__qualname__} is defined inside a function: other processes cannot find it")
    generic = getattr(cls, "__pydantic_generic_metadata__", None)
    plain = generic["origin"] if generic and generic["origin"] else cls
    found: object = sys.modules.get(plain.__module__)
    for step in plain.__qualname__.split("."):
        found = getattr(found, step, None)
    if found is not plain:
        raise LookupError(
            f"{cls.__module__}.{cls.__qualname__} does not lead to its class: other processes cannot find it"
        )
    return name_of(cls)
