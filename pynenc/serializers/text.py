"""JSON and MessagePack: trees of plain types through msgspec."""

from __future__ import annotations

from typing import Any

import msgspec

from pynenc.errors import SerializationError
from pynenc.ports.serializer import Serializer
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.packing import Packer
from pynenc.serializers.unpacking import Unpacker


class JsonSerializer(Serializer):
    """The default: UTF-8 JSON, readable by people and by every language."""

    codec = "json"

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder()

    def encode(self, value: Any) -> bytes:
        return _encode(self._encoder, Packer(binary=False), value)

    def decode(self, data: bytes, types: TypeRegistry) -> Any:
        return _decode(self._decoder, data, types)


class MsgpackSerializer(Serializer):
    """Smaller and faster where values are binary."""

    codec = "msgpack"

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder()

    def encode(self, value: Any) -> bytes:
        return _encode(self._encoder, Packer(binary=True), value)

    def decode(self, data: bytes, types: TypeRegistry) -> Any:
        return _decode(self._decoder, data, types)


def _encode(encoder: Any, packer: Packer, value: Any) -> bytes:
    try:
        data: bytes = encoder.encode(packer.pack(value))
    except UnicodeEncodeError as error:
        raise packer.refuse(f"a text with a lone surrogate cannot be kept: {error}") from error
    except RecursionError as error:
        raise packer.refuse("nested too deeply, or contains itself") from error
    return data


def _decode(decoder: Any, data: bytes, types: TypeRegistry) -> Any:
    try:
        tree = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SerializationError(f"stored bytes cannot be read: {error}") from error
    return Unpacker(types).unpack(tree)
