"""Rebuilding instances of classes by setting their fields: constructors of users are not called."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pynenc.errors import SerializationError
from pynenc.serializers.object_packing import field_names, is_pydantic


def has_fields(cls: type) -> bool:
    """Whether a class is a dataclass, an attrs class or a msgspec Struct."""
    return dataclasses.is_dataclass(cls) or issubclass(cls, Struct) or hasattr(cls, "__attrs_attrs__")


def rebuild_object(cls: Any, state: Mapping[str, Any]) -> Any:
    """Return an instance with these fields; new fields of a later release of the class get their defaults.

    Raises:
        SerializationError: a field is unknown, or lacks and has no default.
    """
    if issubclass(cls, Struct):
        return _rebuild_struct(cls, state)
    names = field_names(cls)
    for name in state:
        if name not in names:
            raise _unknown(cls, name)
    rebuilt = object.__new__(cls)
    for name, value in state.items():
        object.__setattr__(rebuilt, name, value)
    if len(state) < len(names):
        for name, in_init in names.items():
            if name not in state:
                _set_default(cls, rebuilt, name, needed=in_init)
    return rebuilt


def _rebuild_struct(cls: Any, state: Mapping[str, Any]) -> Any:
    for name in state:
        if name not in cls.__struct_fields__:
            raise _unknown(cls, name)
    rebuilt = cls(**state)
    for name, value in state.items():
        # `__post_init__` may have changed what is stored.
        msgspec.structs.force_setattr(rebuilt, name, value)
    return rebuilt


def _set_default(cls: Any, rebuilt: Any, name: str, *, needed: bool) -> None:
    has_default, value = _default(cls, rebuilt, name)
    if has_default:
        object.__setattr__(rebuilt, name, value)
    elif needed:
        raise SerializationError(f"stored bytes lack field {name!r} of {cls.__qualname__}, which has no default")


def _default(cls: Any, rebuilt: Any, name: str) -> tuple[bool, Any]:
    if dataclasses.is_dataclass(cls):
        field = next(each for each in dataclasses.fields(cls) if each.name == name)
        if field.default_factory is not dataclasses.MISSING:
            return True, field.default_factory()
        return field.default is not dataclasses.MISSING, field.default
    default = next(each.default for each in cls.__attrs_attrs__ if each.name == name)
    factory = getattr(default, "factory", None)
    if factory is not None and hasattr(default, "takes_self"):
        return True, factory(rebuilt) if default.takes_self else factory()
    return default is not sys.modules["attr"].NOTHING, default


def rebuild_pydantic(
    cls: Any, state: dict[str, Any], extra: dict[str, Any] | None, fields_set: set[str], private: dict[str, Any] | None
) -> Any:
    """Return a model with this state, without validation: it was a valid one.

    Raises:
        SerializationError: the class is no model, or a field is unknown, or lacks and has no default.
    """
    if not is_pydantic(cls):
        raise SerializationError(f"stored bytes use the class {cls.__qualname__} as a pydantic model")
    fields = cls.model_fields
    for name in state:
        if name not in fields:
            raise _unknown(cls, name)
    for name, field in fields.items():
        if name not in state:
            if field.is_required():
                raise SerializationError(
                    f"stored bytes lack field {name!r} of {cls.__qualname__}, which has no default"
                )
            state[name] = field.get_default(call_default_factory=True)
    pydantic = sys.modules["pydantic"]
    base: Any = pydantic.RootModel if issubclass(cls, pydantic.RootModel) else pydantic.BaseModel
    rebuilt = cls.__new__(cls)
    base.__setstate__(
        rebuilt,
        {
            "__dict__": state,
            "__pydantic_extra__": extra,
            "__pydantic_fields_set__": fields_set,
            "__pydantic_private__": private,
        },
    )
    return rebuilt


def _unknown(cls: type, name: object) -> SerializationError:
    return SerializationError(f"stored bytes give {cls.__qualname__} the unknown field {name!r:.100}")
