"""What invocations and lanes carry of gates, as it is kept in columns."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

import msgspec

from pynenc.model.gates import Flow, Gate, GateSetting
from pynenc.model.ids import InvocationId

Order: TypeAlias = tuple[int, InvocationId]
"""Rank (or the tag of a flow), then id: the order of everything that can be claimed."""
Lenders: TypeAlias = tuple[tuple[str, tuple[InvocationId, ...]], ...]
"""By gate: ancestors that keep its unit while they wait, the nearest first. Gates without any are left out."""

_encoder = msgspec.msgpack.Encoder()
_gates = msgspec.msgpack.Decoder(tuple[tuple[Gate, ...], Flow | None])
_lenders = msgspec.msgpack.Decoder(tuple[tuple[str, tuple[bytes, ...]], ...])
_setting: msgspec.msgpack.Decoder[GateSetting] = msgspec.msgpack.Decoder(GateSetting)


class GatedCall(NamedTuple):
    """What of a call decides about gates."""

    gates: tuple[Gate, ...]
    flow: Flow | None
    parent: InvocationId | None


class HeldKey(NamedTuple):
    """A deduplication key that somebody holds."""

    id: InvocationId
    arguments: bytes
    """The hash of all arguments of the holder."""


def encode_gates(gates: tuple[Gate, ...], flow: Flow | None) -> bytes | None:
    """Return the column of `call`, NULL if there is nothing."""
    return _encoder.encode((gates, flow)) if gates or flow is not None else None


@lru_cache(maxsize=4096)
def decode_gates(column: bytes | None) -> tuple[tuple[Gate, ...], Flow | None]:
    """Return gates and flow from the column of `call`."""
    return ((), None) if column is None else _gates.decode(column)


def encode_lenders(lenders: Lenders) -> bytes | None:
    """Return the column of lanes and resume tokens, NULL if there are none."""
    return _encoder.encode(lenders) if lenders else None


def decode_lenders(column: bytes | None) -> Lenders:
    """Return lenders from their column."""
    return () if column is None else _lenders.decode(column)  # type: ignore[return-value]  # ids are bytes


def lane_key(queue: int, call: GatedCall, lenders: Lenders) -> bytes:
    """Return what is equal exactly for those that queue in the same lane."""
    flow = None if call.flow is None else call.flow.key
    common = _encoder.encode((queue, flow, [(gate.name, int(gate.mode)) for gate in call.gates], lenders))
    return blake2b(common, digest_size=16).digest()


def encode_setting(setting: GateSetting) -> bytes:
    """Return the column of `gate_setting`."""
    return _encoder.encode(setting)


def decode_setting(column: bytes) -> GateSetting:
    """Return a setting from its column."""
    return _setting.decode(column)
