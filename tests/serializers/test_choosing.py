"""Serializers by name, and pickle, which opens nothing that is not signed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from pynenc.errors import ConfigurationError, SerializationError
from pynenc.serializers.registry import serializer_by_name
from pynenc.serializers.signed_pickle import PickleSerializer
from pynenc.serializers.types import KnownTypes

OLD, NEW, FOREIGN = b"the old secret key", b"the new secret key", b"somebody else's key"


class Bomb:
    exploded = False

    def __reduce__(self) -> Any:
        return setattr, (Bomb, "exploded", True)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("json", "json"),
        ("JsonSerializer", "json"),
        ("JsonPickleSerializer", "json"),
        ("msgpack", "msgpack"),
        ("MsgpackSerializer", "msgpack"),
    ],
)
def test_names_lead_to_serializers(name: str, codec: str) -> None:
    assert serializer_by_name(name).codec == codec


@pytest.mark.parametrize("name", ["pickle", "PickleSerializer"])
def test_pickle_needs_a_key(name: str) -> None:
    assert serializer_by_name(name, ["a secret of sixteen"]).codec == "pickle"
    with pytest.raises(ConfigurationError, match="key"):
        serializer_by_name(name)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'yaml' is no serializer"):
        serializer_by_name("yaml")


def test_what_an_older_key_signed_is_still_read() -> None:
    data = PickleSerializer([OLD]).encode({1, 2})

    assert PickleSerializer([NEW, OLD]).decode(data, KnownTypes()) == {1, 2}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        pickle.dumps(Bomb()),
        b"\x00" * 32 + pickle.dumps(Bomb()),
        PickleSerializer([FOREIGN]).encode(Bomb()),
        PickleSerializer([OLD]).encode(1)[:32] + pickle.dumps(Bomb()),
    ],
    ids=["empty", "unsigned", "zeros", "foreign", "moved signature"],
)
def test_what_no_key_signed_is_not_opened(data: bytes) -> None:
    with pytest.raises(SerializationError, match="not signed"):
        PickleSerializer([NEW, OLD]).decode(data, KnownTypes())

    assert not Bomb.exploded


def test_what_pickle_cannot_keep_is_refused() -> None:
    with pytest.raises(SerializationError):
        PickleSerializer([NEW]).encode(lambda: None)
