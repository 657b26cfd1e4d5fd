"""The orchestrator as a worker process sees it: what changes something goes through the runner.

One connection and one transaction serve all workers of a runner; what only reads, and what user code does besides
(watching as a client, administration), uses the worker's own store.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pynenc import errors
from pynenc.errors import RunnerStopped, StoreError
from pynenc.io import Op, Whole
from pynenc.model.ids import InvocationId
from pynenc.model.records import CancelReply, Submission, SubmitReply
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.passing import PassingOrchestrator
from pynenc.wire import records
from pynenc.wire.frames import Call, Reply
from pynenc.wire.records import encode_record

if TYPE_CHECKING:
    import asyncio

SUBMIT, CANCEL = "submit", "cancel"


class RunnerLine:
    """Calls to the runner that wait for their replies; safe for threads and event loops.

    Args:
        send: sends a `Call` under a sequence number.
    """

    def __init__(self, send: Callable[[int, Call], None]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[int, Callable[[Reply], None]] = {}

    def replied(self, seq: int, reply: Reply) -> None:
        """Hand a reply to whoever waits for it."""
        with self._lock:
            deliver = self._open.pop(seq, None)
        if deliver is not None:
            deliver(reply)

    def begin(self, call: Call, deliver: Callable[[Reply], None]) -> None:
        """Send a call; `deliver` gets the reply, from the thread that reads."""
        seq = next(self._numbers)
        with self._lock:
            self._open[seq] = deliver
        self._send(seq, call)


class RunnerCall(Whole):
    """A request that a runner answers."""

    __slots__ = ("_call", "_line")

    def __init__(self, line: RunnerLine, call: Call) -> None:
        self._line = line
        self._call = call

    def send(self) -> bytes:
        arrived: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._line.begin(self._call, arrived.put)
        return _body(arrived.get())

    async def asend(self) -> bytes:
        import asyncio

        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[Reply] = loop.create_future()

        def deliver(reply: Reply) -> None:
            loop.call_soon_threadsafe(_settle, arrived, reply)

        self._line.begin(self._call, deliver)
        return _body(await arrived)


def _settle(arrived: asyncio.Future[Reply], reply: Reply) -> None:
    if not arrived.done():
        arrived.set_result(reply)


def _body(reply: Reply) -> bytes:
    if reply.error_code:
        raise error_of(reply)
    return reply.body


def error_of(reply: Reply) -> Exception:
    """Return the error a reply stands for, as its own class where this package has it."""
    kind: Any = getattr(errors, reply.error_code, None)
    if isinstance(kind, type) and issubclass(kind, (StoreError, errors.ConfigurationError, RunnerStopped)):
        error = kind.__new__(kind)
        error.args = (reply.error_text,)
        return error
    return StoreError(reply.error_text)


class LinkedOrchestrator(PassingOrchestrator):
    """Submissions and cancellations through the runner, everything else through the worker's own store.

    Processes that a body forks are not the worker: they use the store themselves.

    Args:
        line: to the runner.
        own: gives the worker's own store, which is opened when it is first asked for.
    """

    def __init__(self, line: RunnerLine, own: Callable[[], Orchestrator]) -> None:
        self._line = line
        self._own = own
        self._pid = os.getpid()

    @property
    def _inner(self) -> Orchestrator:
        return self._own()

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        if os.getpid() != self._pid:
            return (yield from super().submit(items))
        body = yield RunnerCall(self._line, Call(SUBMIT, encode_record(items)))
        return records.submit_replies.decode(body)

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        if os.getpid() != self._pid:
            return (yield from super().cancel(ids, tree=tree, detail=detail))
        body = yield RunnerCall(self._line, Call(CANCEL, encode_record((list(ids), tree, detail))))
        return records.cancel_replies.decode(body)
