"""What an exception consists of, and how to put one together without running code of its class.

An exception with any signature of `__init__` survives: neither `__new__` nor `__init__` of users is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MemberDescriptorType
from typing import Any

from pynenc.errors import SerializationError

_NOTES = "__notes__"
_UNICODE: dict[type, type] = {UnicodeDecodeError: bytes, UnicodeEncodeError: str, UnicodeTranslateError: str}

# What built-in exceptions keep neither in `args` nor in `__dict__`.
_HIDDEN: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (OSError, ("filename", "filename2")),
    (ImportError, ("name", "path")),
    (NameError, ("name",)),
    (AttributeError, ("name",)),
)


def state_of(error: BaseException) -> dict[str, Any]:
    """Return what an exception keeps besides its `args`: attributes, slots, notes, built-in extras."""
    state = {name: value for name, value in vars(error).items() if _may_be_set(name)}
    for name, descriptor in _descriptors(type(error)):
        try:
            value = descriptor.__get__(error)
        except AttributeError:
            continue
        if value is not None:
            state.setdefault(name, value)
    return state


def rebuild(cls: type[BaseException], args: Sequence[Any], state: Mapping[str, Any]) -> BaseException:
    """Return an exception of `cls` with these `args` and this state.

    Raises:
        SerializationError: no such exception can exist.
    """
    built_in: Any = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    if built_in in _UNICODE:
        _check_unicode_error(_UNICODE[built_in], args)
    try:
        error: BaseException = built_in.__new__(cls, *args)
    except TypeError:
        # A class of ours or of users in front of one like MemoryError: laid out like any exception, and made like it.
        error = Exception.__new__(cls, *args)
    try:
        built_in.__init__(error, *args)
    except (TypeError, ValueError):
        # A class of users whose arguments say nothing to the built-in one; `args` and state tell all there is.
        pass
    if error.args != tuple(args) and not isinstance(error, OSError):
        BaseException.args.__set__(error, tuple(args))  # type: ignore[attr-defined]
    descriptors = dict(_descriptors(cls))
    for name, value in state.items():
        if name in descriptors:
            descriptors[name].__set__(error, value)
        elif _may_be_set(name):
            _check_notes(name, value)
            error.__dict__[name] = value
    return error


def _may_be_set(name: str) -> bool:
    return name == _NOTES or not name.startswith("__")


def _descriptors(cls: type) -> Iterator[tuple[str, Any]]:
    for built_in, names in _HIDDEN:
        if issubclass(cls, built_in):
            for name in names:
                yield name, built_in.__dict__[name]
    for base in cls.__mro__:
        if base.__module__ != "builtins":
            for name, member in vars(base).items():
                if isinstance(member, MemberDescriptorType) and _may_be_set(name):
                    yield name, member


def _check_notes(name: str, value: Any) -> None:
    if name == _NOTES and not (isinstance(value, list) and all(isinstance(note, str) for note in value)):
        raise SerializationError("stored bytes give an exception notes that are no texts")


def _check_unicode_error(subject: type, args: Sequence[Any]) -> None:
    """Refuse positions outside the text: before Python 3.14 such an exception reads foreign memory when it is shown."""
    expected = (subject, int, int, str) if len(args) == 4 else (str, subject, int, int, str)
    if tuple(map(type, args)) != expected:
        raise SerializationError("stored bytes describe an impossible Unicode error")
    text, start, end, _ = args[-4:]
    if not 0 <= start < end <= len(text):
        raise SerializationError("stored bytes describe a Unicode error outside its text")
