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
from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelReply,
    ClaimIdReply,
    Exchange,
    ExchangeReply,
    Owned,
    QueueStats,
    SessionInfo,
    SessionRow,
    Standing,
    Submission,
    SubmitReply,
    TickReply,
    Violation,
    WatchReply,
)
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.orchestrator import Orchestrator
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


class RunnerCall:
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


class LinkedOrchestrator(Orchestrator):
    """Submissions and cancellations through the runner, everything else through the worker's own store.

    Processes that a body forks are not the worker: they use the store themselves.
    """

    def __init__(self, line: RunnerLine, own: Callable[[], Orchestrator]) -> None:
        self._line = line
        self._own = own
        self._pid = os.getpid()

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        if os.getpid() != self._pid:
            return (yield from self._own().submit(items))
        body = yield RunnerCall(self._line, Call(SUBMIT, encode_record(items)))
        return records.submit_replies.decode(body)

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        if os.getpid() != self._pid:
            return (yield from self._own().cancel(ids, tree=tree, detail=detail))
        body = yield RunnerCall(self._line, Call(CANCEL, encode_record((list(ids), tree, detail))))
        return records.cancel_replies.decode(body)

    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        return (yield from self._own().open_session(info, lease_us=lease_us))

    def close_session(self, session: SessionId) -> Op[None]:
        yield from self._own().close_session(session)

    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        return (yield from self._own().list_sessions(live_only=live_only))

    def doorbell(self) -> Doorbell:
        return self._own().doorbell()

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        return (yield from self._own().exchange(request))

    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        return (yield from self._own().claim_ids(session, ids, queues=queues, most=most))

    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        return (yield from self._own().list_owned(session))

    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        return (yield from self._own().watch(session, ids))

    def pause(self, queue: str) -> Op[None]:
        yield from self._own().pause(queue)

    def resume(self, queue: str) -> Op[None]:
        yield from self._own().resume(queue)

    def put_gate(self, setting: GateSetting) -> Op[None]:
        yield from self._own().put_gate(setting)

    def clear_gate(self, name: str) -> Op[bool]:
        return (yield from self._own().clear_gate(name))

    def list_gates(self) -> Op[list[GateSetting]]:
        return (yield from self._own().list_gates())

    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        return (yield from self._own().requeue(ids))

    def tick(self, *, budget: int) -> Op[TickReply]:
        return (yield from self._own().tick(budget=budget))

    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        return (yield from self._own().explain(invocation_id))

    def queue_stats(self) -> Op[list[QueueStats]]:
        return (yield from self._own().queue_stats())

    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        return (yield from self._own().verify(repair=repair))
