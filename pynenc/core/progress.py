"""Progress notes: what a running body tells of itself."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from pynenc.context import current_run
from pynenc.errors import MalformedMessage
from pynenc.invocation.history import Progress

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Progress)
_LONGEST_NOTE = 64 * 1024


class ProgressReporter:
    """What `invocation.progress` is inside the body: call it to report."""

    def __call__(self, done: float | None = None, total: float | None = None, message: str = "") -> None:
        """Report how far the body is. Cheap, never blocks; the latest report wins."""
        _report(Progress(done=done, total=total, message=message, at_us=time.time_ns() // 1_000))

    def heartbeat(self, details: Any = None) -> None:
        """Tell that the body is alive, with details of plain JSON types if wanted."""
        _report(Progress(details=details, at_us=time.time_ns() // 1_000))


def read_progress(note: bytes) -> Progress | None:
    """Return what a stored note says; None if there is none.

    Raises:
        MalformedMessage: the stored bytes are not a progress note.
    """
    if not note:
        return None
    try:
        return _decoder.decode(note)
    except msgspec.MsgspecError as error:
        raise MalformedMessage(f"stored progress cannot be read: {error}") from error


def _report(progress: Progress) -> None:
    context = current_run.get()
    if context is None:
        raise RuntimeError("progress can only be reported inside a running task")
    body = _encoder.encode(progress)
    if len(body) > _LONGEST_NOTE:
        raise ValueError(f"a progress note of {len(body)} bytes is too long; at most {_LONGEST_NOTE} are kept")
    context.link.report(body)
