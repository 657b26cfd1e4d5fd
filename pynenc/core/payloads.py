"""Arguments, results and errors: from values to the bytes a record carries, and back.

Data first, then the pointer: what is larger than the threshold goes to the client data store before the record that
names it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pynenc.errors import DataOutOfReach, SerializationError, StoreCorrupted, StoreError
from pynenc.io import Op
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.serializer import Serializer
from pynenc.ports.types import TypeRegistry
from pynenc.serializers.arguments import decode_arguments, encode_arguments
from pynenc.serializers.exceptions import decode_exception, encode_exception
from pynenc.wire.constants import ENVELOPE_KEY_BYTES
from pynenc.wire.envelope import open_envelope, seal, seal_reference

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.serializers.types import KnownTypes


_SMALL = 1_024
"""Bytes up to which a shared value is repeated in every call: cheaper than a look-up for each."""


class SharedValue(Struct, frozen=True):
    """Stands in arguments for a value that was stored once for many calls."""

    sealed: bytes


class Payloads:
    """Encodes with one serializer, decodes whatever an accepted serializer wrote."""

    def __init__(
        self,
        *,
        serializer: Serializer,
        accepted: Mapping[str, Serializer],
        types: TypeRegistry,
        data: ClientDataStore,
        near: ClientDataStore,
        threshold: int | None,
    ) -> None:
        """
        Args:
            data: where large values go.
            near: where values go that are not large, but shared by many calls.
            accepted: serializers by codec name that stored bytes may have been written with.
            threshold: bytes from which on a payload goes to the client data store; None: never.
        """
        self._serializer = serializer
        self._accepted = accepted
        self._types = types
        self._data = data
        self._near = near
        self._threshold = threshold
        self._head = seal(serializer.codec, b"")
        """What is before everything that our own serializer wrote and a record carries itself."""

    def encode_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]) -> bytes:
        """Return the sealed arguments of a call, not yet offloaded; `names` label positions in errors.

        Raises:
            SerializationError: an argument cannot be kept; names it.
        """
        try:
            data = encode_arguments(self._serializer, args, kwargs)
        except SerializationError as error:
            raise _named(error, names) from error.__cause__
        return self._head + data

    def arguments_here(self, sealed: bytes) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Return the arguments that `decode_arguments` would; None if it takes more than our own serializer."""
        if not sealed.startswith(self._head):
            return None
        arguments = decode_arguments(self._serializer, sealed[len(self._head) :], self._types)
        return None if SharedValue in map(type, arguments[1].values()) else arguments

    def decode_arguments(self, sealed: bytes) -> Op[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return positional and keyword arguments."""
        serializer, data = yield from self._open(sealed)
        args, kwargs = decode_arguments(serializer, data, self._types)
        for name, value in kwargs.items():
            if type(value) is SharedValue:
                kwargs[name] = yield from self.decode_value(value.sealed)
        return args, kwargs

    def share(self, value: Any) -> Op[Any]:
        """Return what calls carry instead of a value they all get: itself if small, else its `SharedValue`."""
        sealed = seal(self._serializer.codec, self._serializer.encode(value))
        if len(sealed) <= _SMALL or self._threshold is None:
            return value
        envelope = open_envelope(sealed)
        assert envelope.data is not None
        kept = yield from self._store(self._near if self.fits(sealed) else self._data, envelope.codec, envelope.data)
        return SharedValue(kept)

    def encode_value(self, value: Any) -> Op[bytes]:
        """Return a sealed result, offloaded if it is large."""
        return (yield from self.offload(self.seal_value(value)))

    def seal_value(self, value: Any) -> bytes:
        """Return a sealed result, not yet offloaded."""
        return self._head + self._serializer.encode(value)

    def fits(self, sealed: bytes) -> bool:
        """Whether a record carries these sealed bytes itself."""
        return self._threshold is None or len(sealed) <= self._threshold

    def is_here(self, sealed: bytes) -> bool:
        """Whether our own serializer wrote these sealed bytes and nothing has to be fetched."""
        return sealed.startswith(self._head)

    def open_here(self, sealed: bytes) -> Any:
        """Return the value of a sealed result that `is_here`."""
        return self._serializer.decode(sealed[len(self._head) :], self._types)

    def decode_value(self, sealed: bytes) -> Op[Any]:
        """Return the value of a sealed result."""
        serializer, data = yield from self._open(sealed)
        return serializer.decode(data, self._types)

    def encode_error(self, error: BaseException) -> bytes:
        """Return a sealed error. Never fails; its size is bounded."""
        return seal(self._serializer.codec, encode_exception(error, self._serializer, self._types))

    def decode_error(self, sealed: bytes) -> Op[BaseException]:
        """Return the exception of a sealed error, as near to the raised one as this process can build it."""
        serializer, data = yield from self._open(sealed)
        return decode_exception(data, serializer, self._types)

    def offload(self, sealed: bytes) -> Op[bytes]:
        """Move sealed bytes above the threshold to the client data store; return what the record carries."""
        if self.fits(sealed):
            return sealed
        envelope = open_envelope(sealed)
        if envelope.data is None:
            return sealed
        return (yield from self._store(self._data, envelope.codec, envelope.data))

    def offload_many(self, sealed: Sequence[bytes]) -> Op[list[bytes]]:
        """Do what `offload` does for each, with as little waiting as the client data store allows."""
        carried, places, items, codecs = list(sealed), [], [], []
        for place, each in enumerate(sealed):
            envelope = open_envelope(each)
            if envelope.data is not None and not self.fits(each):
                places.append(place)
                codecs.append(envelope.codec)
                items.append((_key_of(envelope.data), envelope.data))
        references = yield from self._data.put_many(items)
        for place, codec, reference, (_, data) in zip(places, codecs, references, items, strict=True):
            carried[place] = seal_reference(codec, reference, len(data))
        return carried

    def _store(self, place: ClientDataStore, codec: str, data: bytes) -> Op[bytes]:
        reference = yield from place.put(_key_of(data), data)
        return seal_reference(codec, reference, len(data))

    def _open(self, sealed: bytes) -> Op[tuple[Serializer, bytes]]:
        envelope = open_envelope(sealed)
        serializer = self._accepted.get(envelope.codec)
        if serializer is None:
            raise SerializationError(
                f"written by the serializer {envelope.codec!r}, which this app does not accept "
                f"(it accepts {', '.join(sorted(self._accepted))})"
            )
        data = envelope.data
        if data is None:
            data = yield from self._fetch(envelope.reference or b"")
        return serializer, data

    def _fetch(self, reference: bytes) -> Op[bytes]:
        try:
            data = yield from self._data.get(reference)
        except StoreCorrupted:
            raise
        except StoreError as error:
            raise DataOutOfReach(str(error)) from error
        if data is None:
            raise SerializationError(f"its data {reference.hex()} is gone from the client data store")
        return data


def _key_of(data: bytes) -> bytes:
    return blake2b(data, digest_size=ENVELOPE_KEY_BYTES).digest()


def _named(error: SerializationError, names: tuple[str, ...]) -> SerializationError:
    """Replace the leading position of an argument (`[0]`) in the path by its name."""
    path = error.path
    if not path.startswith("["):
        return error
    position, _, rest = path[1:].partition("]")
    if not position.isdigit() or int(position) >= len(names):
        return error
    message = str(error).removeprefix(path).removeprefix(": ")
    return SerializationError(message, path=names[int(position)] + rest)


def known_types() -> KnownTypes:
    """Return a registry that knows what the engine itself puts into arguments."""
    from pynenc.core.chaining import ResultsOf
    from pynenc.invocation.distributed import DistributedInvocation, ReusedInvocation
    from pynenc.serializers.types import KnownTypes

    types = KnownTypes()
    types.register(SharedValue, ResultsOf, DistributedInvocation, ReusedInvocation)
    return types


def compose_payloads(app: Pynenc, choice: str | Serializer | None, threshold: int | None) -> Payloads:
    """Return how values of an app, or of one of its tasks, are kept.

    Pickle is accepted only where the app or the task asks for it.
    """
    from pynenc.core.data_routing import NearDataStore
    from pynenc.serializers.registry import serializer_by_name

    if choice is None:
        serializer = app.serializer
    else:
        serializer = serializer_by_name(choice, app.conf.serializer_keys) if isinstance(choice, str) else choice
    accepted = {name: serializer_by_name(name) for name in ("json", "msgpack")}
    accepted[app.serializer.codec] = app.serializer
    accepted[serializer.codec] = serializer
    return Payloads(
        serializer=serializer,
        accepted=accepted,
        types=app.types,
        data=app.client_data_store,
        near=NearDataStore(app),
        threshold=app.conf.client_data_threshold if threshold is None else threshold,
    )
