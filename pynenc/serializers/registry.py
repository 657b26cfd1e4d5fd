"""Serializers by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pynenc.errors import ConfigurationError
from pynenc.ports.serializer import Serializer

_NAMES = {
    "json": "json",
    "jsonserializer": "json",
    "jsonpickleserializer": "json",
    "msgpack": "msgpack",
    "msgpackserializer": "msgpack",
    "pickle": "pickle",
    "pickleserializer": "pickle",
}


def serializer_by_name(name: str, keys: Sequence[str] = ()) -> Serializer:
    """Return the serializer of a name (`json`, `msgpack`, `pickle`) or of a published class name.

    Args:
        keys: secrets for those that sign.

    Raises:
        ConfigurationError: no serializer has this name, or it needs a key and got none.
    """
    known = _NAMES.get(name.lower())
    if known is None:
        raise ConfigurationError(f"{name!r} is no serializer; there are json, msgpack and pickle (signed, opt-in)")
    return _serializer(known, tuple(keys))


@lru_cache(maxsize=16)
def _serializer(name: str, keys: tuple[str, ...]) -> Serializer:
    if name == "pickle":
        from pynenc.serializers.signed_pickle import PickleSerializer

        return PickleSerializer([key.encode() for key in keys])
    from pynenc.serializers.text import JsonSerializer, MsgpackSerializer

    return MsgpackSerializer() if name == "msgpack" else JsonSerializer()
