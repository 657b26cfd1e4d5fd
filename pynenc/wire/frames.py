"""Frames between a runner and its workers (ENGINE 6.2).

    u32 big-endian length of what follows | u8 type | u32 big-endian sequence number | msgpack body

A frame is at most 64 MiB. Unknown types are passed over if their high bit is set, else they are a protocol error.
Decoding does no I/O: `FrameDecoder.feed` takes bytes as they come.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Any

import msgspec
from msgspec import Struct

from pynenc.errors import MalformedMessage, ProtocolError
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Claim, Completion, Outcome
from pynenc.wire.constants import MAX_FRAME as MAX_FRAME
from pynenc.wire.constants import OPTIONAL_FRAME
from pynenc.wire.constants import PROTOCOL as PROTOCOL
from pynenc.wire.constants import FrameType as FrameType

_HEAD = Layout(">IBI")


class Hello(Struct, frozen=True, array_like=True):
    """Worker to runner, first frame."""

    proto: tuple[int, int]
    pid: int
    python: str
    features: tuple[str, ...] = ()


class Welcome(Struct, frozen=True, array_like=True):
    """Runner to worker: what to load and what to be."""

    proto: tuple[int, int]
    runner_name: str
    app: bytes
    """An encoded app reference."""
    config: dict[str, Any] = {}
    """`mode`: "threads" or "asyncio"; `slots`: bodies that the worker runs at a time. Missing: threads, 1."""


class Credit(Struct, frozen=True, array_like=True):
    """Worker to runner: so many more runs are accepted. The first one says that the app is loaded."""

    runs: int


class Run(Struct, frozen=True, array_like=True):
    """Runner to worker: run these, in this order."""

    claims: tuple[Claim, ...]


class StartedFrame(Struct, frozen=True, array_like=True):
    """Worker to runner: these bodies began, each in the thread that the kernel knows by that number."""

    runs: tuple[tuple[InvocationId, Epoch, int], ...]


class Done(Struct, frozen=True, array_like=True):
    """Worker to runner: these runs ended."""

    completions: tuple[Completion, ...]


class SuspendFrame(Struct, frozen=True, array_like=True):
    """Worker to runner: a body waits (`watch`: some coroutine of it does, others go on)."""

    invocation_id: InvocationId
    epoch: Epoch
    waits: tuple[InvocationId, ...]
    need: int = 0
    timeout_us: int | None = None
    watch: bool = False


class Resume(Struct, frozen=True, array_like=True):
    """Runner to worker: a body goes on."""

    invocation_id: InvocationId
    epoch: Epoch
    outcomes: tuple[Outcome, ...] = ()
    timed_out: bool = False
    cycle: tuple[InvocationId, ...] = ()
    unknown: tuple[InvocationId, ...] = ()


class Call(Struct, frozen=True, array_like=True):
    """Worker to runner: perform an operation of the store; answered by `Reply` under the same sequence number."""

    operation: str
    body: bytes


class Reply(Struct, frozen=True, array_like=True):
    """Runner to worker: the answer to a `Call`, or the error it met."""

    body: bytes
    error_code: str = ""
    error_text: str = ""


class Cancel(Struct, frozen=True, array_like=True):
    """Runner to worker: stop this run (`why`: cancel or timeout)."""

    invocation_id: InvocationId
    epoch: Epoch
    why: str
    grace_ms: int


class Beat(Struct, frozen=True, array_like=True):
    """Either way: alive at this monotonic time."""

    monotonic_us: int


class Log(Struct, frozen=True, array_like=True):
    """Worker to runner: what user code printed."""

    stream: str
    lines: tuple[str, ...]
    dropped: int = 0
    invocation_id: InvocationId | None = None


class ProgressFrame(Struct, frozen=True, array_like=True):
    """Worker to runner: a progress note."""

    invocation_id: InvocationId
    epoch: Epoch
    body: bytes


class Abandon(Struct, frozen=True, array_like=True):
    """Runner to worker: forget these runs; or, as `Returned`, worker to runner: these never started."""

    slots: tuple[tuple[InvocationId, Epoch], ...]
    detail: str = ""


class Drain(Struct, frozen=True, array_like=True):
    """Runner to worker: give back what has not started. Worker to runner: all of it was given back."""


class Bye(Struct, frozen=True, array_like=True):
    """Either way: this end closes, and why."""

    reason: str


BODIES: dict[int, type[Struct]] = {
    FrameType.HELLO: Hello,
    FrameType.WELCOME: Welcome,
    FrameType.CREDIT: Credit,
    FrameType.RUN: Run,
    FrameType.STARTED: StartedFrame,
    FrameType.DONE: Done,
    FrameType.SUSPEND: SuspendFrame,
    FrameType.RESUME: Resume,
    FrameType.OBSERVE: Resume,
    FrameType.CALL: Call,
    FrameType.REPLY: Reply,
    FrameType.CANCEL: Cancel,
    FrameType.BEAT: Beat,
    FrameType.LOG: Log,
    FrameType.PROGRESS: ProgressFrame,
    FrameType.ABANDON: Abandon,
    FrameType.RETURNED: Abandon,
    FrameType.DRAIN: Drain,
    FrameType.RECYCLE: Bye,
    FrameType.BYE: Bye,
}

_encoder = msgspec.msgpack.Encoder()
_decoders = {kind: msgspec.msgpack.Decoder(body) for kind, body in BODIES.items()}


class Frame(Struct, frozen=True):
    """A decoded frame."""

    type: FrameType
    seq: int
    body: Any


class FrameTooLarge(ProtocolError):
    """A frame would exceed 64 MiB."""

    code = "frame_too_large"

    def __init__(self, size: int) -> None:
        super().__init__(f"a frame of {size} bytes is larger than {MAX_FRAME}")
        self.size = size


def encode_frame(kind: FrameType, body: Struct, seq: int = 0) -> bytes:
    """Return one frame.

    Raises:
        FrameTooLarge: its body is too large to be sent.
    """
    encoded = _encoder.encode(body)
    length = len(encoded) + 5
    if length > MAX_FRAME:
        raise FrameTooLarge(length)
    return _HEAD.pack(length, kind, seq) + encoded


class FrameDecoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; return the frames that are complete now.

        Raises:
            MalformedMessage: a frame is too large or its body is not what its type says.
            ProtocolError: a frame of a type that this release does not know and may not pass over.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        begin = 0
        while len(buffer) - begin >= _HEAD.size:
            length, kind, seq = _HEAD.unpack_from(buffer, begin)
            if not 5 <= length <= MAX_FRAME:
                raise MalformedMessage(f"a frame of {length} bytes: at least 5, at most {MAX_FRAME} are possible")
            end = begin + 4 + length
            if len(buffer) < end:
                break
            frame = _decode(kind, seq, bytes(memoryview(buffer)[begin + _HEAD.size : end]))
            if frame is not None:
                frames.append(frame)
            begin = end
        if begin:
            del buffer[:begin]
        return frames


def _decode(kind: int, seq: int, body: bytes) -> Frame | None:
    decoder = _decoders.get(kind)
    if decoder is None:
        if kind & OPTIONAL_FRAME:
            return None
        raise ProtocolError(f"a frame of unknown type {kind}")
    try:
        return Frame(FrameType(kind), seq, decoder.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"the body of a {FrameType(kind).name} frame cannot be read: {error}") from error
