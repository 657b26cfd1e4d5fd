"""Both text serializers, and a registry that knows the classes of `models`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pynenc.ports.serializer import Serializer
from pynenc.serializers.text import JsonSerializer, MsgpackSerializer
from pynenc.serializers.types import KnownTypes
from tests.serializers import models

Keep = Callable[[Any], Any]


@pytest.fixture(scope="session")
def types() -> KnownTypes:
    known = KnownTypes()
    known.learn_module(models.__name__)
    return known


@pytest.fixture(params=[JsonSerializer, MsgpackSerializer], ids=["json", "msgpack"], scope="session")
def serializer(request: pytest.FixtureRequest) -> Serializer:
    made: Serializer = request.param()
    return made


@pytest.fixture(scope="session")
def keep(serializer: Serializer, types: KnownTypes) -> Keep:
    """Encode and decode a value."""
    return lambda value: serializer.decode(serializer.encode(value), types)
