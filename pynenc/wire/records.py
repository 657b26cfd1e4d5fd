"""Records of the model as MessagePack: what crosses between a runner and its workers inside calls and replies.

Structs are arrays or maps as their classes say (`protocol/operations.json` lists both); ids are 16 bytes. Decoding
checks types, never builds anything but these records, and refuses more than a frame could carry.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from pynenc.errors import MalformedMessage
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    CancelReply,
    Claim,
    Completion,
    ExchangeReply,
    Outcome,
    Submission,
    SubmitReply,
)
from pynenc.model.waits import WaitReply
from pynenc.wire.constants import MAX_FRAME

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()


def encode_record(record: Any) -> bytes:
    """Return the bytes of a record, or of a list or tuple of records."""
    return _encoder.encode(record)


class RecordDecoder(Generic[T]):
    """Reads one sort of record.

    Args:
        kind: the type to read.
        name: what it is called in errors.
    """

    def __init__(self, kind: Any, name: str) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)
        self._name = name

    def decode(self, data: bytes) -> T:
        """Return what `encode_record` wrote.

        Raises:
            MalformedMessage: the bytes are something else, or too many.
        """
        if len(data) > MAX_FRAME:
            raise MalformedMessage(f"{len(data)} bytes are too many for {self._name}")
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError, MemoryError) as error:
            raise MalformedMessage(f"these bytes are not {self._name}: {error}") from error


submissions: RecordDecoder[list[Submission]] = RecordDecoder(list[Submission], "submissions")
submit_replies: RecordDecoder[list[SubmitReply]] = RecordDecoder(list[SubmitReply], "replies to submissions")
cancel_request: RecordDecoder[tuple[list[InvocationId], bool, str]] = RecordDecoder(
    tuple[list[InvocationId], bool, str], "a request to cancel"
)
cancel_replies: RecordDecoder[list[CancelReply]] = RecordDecoder(list[CancelReply], "replies to a cancellation")
claim: RecordDecoder[Claim] = RecordDecoder(Claim, "a claim")
completion: RecordDecoder[Completion] = RecordDecoder(Completion, "a completion")
outcome: RecordDecoder[Outcome] = RecordDecoder(Outcome, "an outcome")
exchange_reply: RecordDecoder[ExchangeReply] = RecordDecoder(ExchangeReply, "a reply to an exchange")
wait_reply: RecordDecoder[WaitReply] = RecordDecoder(WaitReply, "a reply to a wait")
