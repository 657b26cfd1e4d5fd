"""Packing instances of classes: each by its fields, never by what code of the class says of itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from enum import Enum, Flag
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from pynenc.serializers.exception_parts import state_of
from pynenc.serializers.names import public_name_of
from pynenc.serializers.packing import TAG, Packer, Refusal, label

_HEAP_TYPE = 1 << 9
"""Set in `__flags__` of classes that a class statement made (Py_TPFLAGS_HEAPTYPE)."""

# Left behind in `__dict__` by the typing module; says nothing about the value.
_TRACES = frozenset({"__orig_class__"})


def pack_object(packer: Packer, value: Any) -> Any:
    """Return the tree of an instance of a class that is not built in.

    Raises:
        Refusal: it cannot be kept exactly.
    """
    cls: Any = type(value)
    try:
        pack = _way_of(cls)
        if pack is None:
            raise Refusal(_why_not(cls))
        return pack(packer, value)
    except (Refusal, RecursionError):
        raise
    except Exception as error:
        # Classes of users answer as they like when they are looked at.
        raise Refusal(f"{cls.__qualname__} cannot be looked at: {label(error)}") from error


@lru_cache(maxsize=1024)
def _way_of(cls: type) -> Callable[[Packer, Any], Any] | None:
    if callable(getattr(cls, "to_json", None)) and callable(getattr(cls, "from_json", None)):
        return _json_serializable
    for family, pack in ((Enum, _enum), (BaseException, _exception), (Struct, _struct)):
        if issubclass(cls, family):
            return pack
    if issubclass(cls, tuple):
        return _named_tuple if hasattr(cls, "_fields") else None
    if is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
        return _object
    return _pydantic if is_pydantic(cls) else None


def is_pydantic(cls: type) -> bool:
    """Whether a class is a pydantic model; does not import pydantic: who has a model has imported it."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def _why_not(cls: type) -> str:
    name = f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")
    if issubclass(cls, type):
        return "a class cannot be kept, only its instances"
    if cls.__module__ == "builtins" and any("__call__" in vars(base) for base in cls.__mro__):
        return f"a {cls.__qualname__} cannot be kept; pass what it is called with, or call a task"
    for built_in in (bool, int, float, str, bytes, bytearray, list, dict, tuple, set, frozenset):
        if issubclass(cls, built_in):
            return f"{name} extends {built_in.__name__} and cannot be kept; pass a plain {built_in.__name__}"
    return f"a value of type {name} cannot be kept"


def _name(value: Any) -> str:
    cls: Any = type(value)
    try:
        return public_name_of(cls)
    except LookupError as error:
        raise Refusal(str(error)) from None


def _json_serializable(packer: Packer, value: Any) -> Any:
    try:
        data = value.to_json()
    except Exception as error:
        raise Refusal(f"to_json of {type(value).__qualname__} failed: {label(error)}") from error
    return {TAG: ["json", _name(value), packer.converted(data)]}


def _exception(packer: Packer, value: BaseException) -> Any:
    packer.count_exception()
    return {TAG: ["exception", _name(value), packer.items(value.args), packer.named(state_of(value))]}


def _enum(packer: Packer, value: Enum) -> Any:
    cls = type(value)
    if value.name is not None and cls.__members__.get(value.name) is value:
        return {TAG: ["enum", _name(value), value.name]}
    if isinstance(value, Flag):
        return {TAG: ["flag", _name(value), packer.pack(value.value)]}
    raise Refusal(f"{label(value)} is no member of {cls.__qualname__}")


def _named_tuple(packer: Packer, value: Any) -> Any:
    extra = getattr(value, "__dict__", None)
    if extra:
        raise Refusal(f"attribute {next(iter(extra))!r} is no field of {type(value).__qualname__}")
    if len(value) != len(value._fields):
        raise Refusal(f"{type(value).__qualname__} has not as many items as fields")
    state = packer.named(dict(zip(value._fields, value, strict=True)))
    return {TAG: ["namedtuple", _name(value), list(state.values())]}


def _struct(packer: Packer, value: Struct) -> Any:
    refuse_extra(value, value.__struct_fields__)
    return {TAG: ["object", _name(value), packer.named(msgspec.structs.asdict(value))]}


def _object(packer: Packer, value: Any) -> Any:
    cls: Any = type(value)
    names, hidden = _fields_of(cls)
    refuse_extra(value, names)
    for slot in hidden:
        if hasattr(value, slot):
            raise Refusal(f"attribute {slot!r} is no field of {type(value).__qualname__}")
    state = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return {TAG: ["object", _name(value), packer.named(state)]}


@lru_cache(maxsize=1024)
def _fields_of(cls: Any) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Return fields, and slots that are none.

    Raises:
        Refusal: the class keeps something besides its fields.
    """
    built_in = next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    if built_in is not object:
        raise Refusal(f"{cls.__qualname__} extends {built_in.__name__}, which keeps more than its fields")
    names = field_names(cls)
    slots = [
        slot
        for base in cls.__mro__
        for slot, member in vars(base).items()
        if type(member).__name__ == "member_descriptor" and slot not in names and slot not in _cached_by_attrs(base)
    ]
    return names, tuple(slots)


def _cached_by_attrs(cls: type) -> Container[str]:
    """Return the cached properties of a slotted attrs class: slots, of which a default of `__getattr__` tells."""
    defaults = getattr(vars(cls).get("__getattr__"), "__defaults__", None) or ()
    return next((each for each in defaults if isinstance(each, dict)), {})


def field_names(cls: Any) -> dict[str, bool]:
    """Return the fields of a dataclass or attrs class, in order, and whether `__init__` takes them."""
    fields = dataclass_fields(cls) if is_dataclass(cls) else cls.__attrs_attrs__
    return {field.name: field.init for field in fields}


def refuse_extra(value: Any, names: Container[str]) -> None:
    """Refuse attributes that are no fields; cached properties come again by themselves."""
    for name in getattr(value, "__dict__", ()):
        if name in names or name in _TRACES:
            continue
        if not isinstance(getattr(type(value), name, None), cached_property):
            raise Refusal(f"attribute {name!r} is no field of {type(value).__qualname__}")


def _pydantic(packer: Packer, value: Any) -> Any:
    names = type(value).model_fields
    refuse_extra(value, names)
    state = packer.named({name: item for name, item in value.__dict__.items() if name in names})
    extra, private = value.__pydantic_extra__, value.__pydantic_private__
    return {
        TAG: [
            "pydantic",
            _name(value),
            state,
            None if extra is None else packer.named(extra),
            sorted(value.__pydantic_fields_set__),
            None if private is None else packer.named(private),
        ]
    }
