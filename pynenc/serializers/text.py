"""JSON and MessagePack: trees of plain types through msgspec."""

from __future__ import annotations

from typing import Any

import msgspec

from pynenc.errors import SerializationError
from pynenc.ports.serializer import Serializer
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.packing import Packer, Refusal, escape_surrogates, label
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
        tree = _decode(self._decoder, data)
        # Without a dollar sign, plain or escaped, nothing is tagged.
        return Unpacker(types).unpack(tree) if b"$" in data or b"\\u" in data else tree


class MsgpackSerializer(Serializer):
    """Smaller and faster where values are binary."""

    codec = "msgpack"

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(ext_hook=_refuse_extension)

    def encode(self, value: Any) -> bytes:
        return _encode(self._encoder, Packer(binary=True), value)

    def decode(self, data: bytes, types: TypeRegistry) -> Any:
        tree = _decode(self._decoder, data)
        # A tag is a text of one byte, in the shortest form (a1) or a longer one (… 01).
        return Unpacker(types).unpack(tree) if b"\xa1$" in data or b"\x01$" in data else tree


def _refuse_extension(number: int, _: memoryview) -> Any:
    raise ValueError(f"extension type {number} is not used here")


def _encode(encoder: Any, packer: Packer, value: Any) -> bytes:
    try:
        tree = packer.pack(value)
        try:
            data: bytes = encoder.encode(tree)
        except UnicodeEncodeError:
            data = encoder.encode(escape_surrogates(tree))
    except Refusal as refusal:
        raise refusal.as_error() from refusal.__cause__
    except RecursionError as error:
        raise SerializationError("nested too deeply, or contains itself") from error
    except Exception as error:
        # Classes of users answer `getattr` as they like.
        raise SerializationError(f"a value cannot be looked at: {label(error)}") from error
    return data


def _decode(decoder: Any, data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError, MemoryError) as error:
        raise SerializationError(f"stored bytes cannot be read: {error}") from error
