"""How stored values name classes."""

from __future__ import annotations


def name_of(cls: type) -> str:
    """Return `module:Qualified.Name`; of a script its file's name stands for `__main__`."""
    from pynenc.core.loading import module_name

    return f"{module_name(cls.__module__)}:{cls.__qualname__}"
