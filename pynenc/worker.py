"""A worker process: `python -m pynenc.worker --fd N`. Runs bodies for the runner at the other end of the socket.

States: greeting -> loading -> serving -> gone. The main thread reads frames and never runs a body; bodies run in
threads or on an event loop (`WorkerMode`), as many at a time as the runner said, and one that waits lends its slot to
the next. When the socket closes the process ends at once: what its bodies achieve from then on is worthless, their
session is gone.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pynenc.core.loading import AppReference, load_app
from pynenc.errors import ProtocolError
from pynenc.model.records import Completion, Failure, Success
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.executor import (
    Began,
    Executor,
    ExecutorEvent,
    Finished,
    Lost,
    Noted,
    Observation,
    Resumption,
    Returned,
    StopReason,
    WaitWanted,
    WatchWanted,
)
from pynenc.ports.run_link import WaitReply
from pynenc.runners.black_box import record_lines, record_stacks
from pynenc.runners.linked import LinkedOrchestrator, RunnerLine
from pynenc.runners.now_running import NowRunning
from pynenc.runners.thread_executor import ThreadExecutor
from pynenc.runners.warming import import_what_bodies_use
from pynenc.runners.worker_config import WorkerConfig, WorkerMode
from pynenc.runners.worker_signals import StopOrders
from pynenc.wire.frames import (
    PROTOCOL,
    Abandon,
    Bye,
    Call,
    Credit,
    Done,
    Drain,
    Frame,
    FrameDecoder,
    FrameTooLarge,
    FrameType,
    Hello,
    ProgressFrame,
    Resume,
    StartedFrame,
    SuspendFrame,
    Welcome,
    encode_frame,
)

if TYPE_CHECKING:
    from pynenc.app import Pynenc

logger = logging.getLogger(__name__)

CREDITS = 64
_READ_BYTES = 1 << 20
_FLUSH_ITEMS = 64
_FLUSH_S = 0.002


def main() -> None:
    """Serve the runner at the other end of `--fd` until it closes."""
    given = _options(sys.argv[1:])
    connection = socket.socket(fileno=given["fd"])
    # Programs that bodies start have no business with it.
    connection.set_inheritable(False)
    _die_with_parent()
    if "stacks" in given:
        os.set_inheritable(given["stacks"], False)
        record_stacks(given["stacks"])
    else:
        faulthandler.enable()
    now_running = None
    if "page" in given:
        now_running = NowRunning(given["page"])
        os.close(given["page"])
    Worker(connection, now_running, given.get("lines")).serve()


def _options(words: list[str]) -> dict[str, int]:
    """Return the descriptors that a runner passed; `argparse` would take as long to import as all of these modules.

    `--fd` is the worker's end of a socket pair, `--page` memory in which to note whose body runs, `--lines` memory for
    the last lines that are logged, `--stacks` a file in which to write where threads stand. Only the first is needed.
    """
    return {name.removeprefix("--"): int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


class FrameOutbox:
    """Events of bodies as frames. Completions are held back while more are about to come."""

    def __init__(self, connection: socket.socket) -> None:
        self.more_follow: Callable[[], bool] = lambda: True
        """Whether another body follows at once on the one that has just ended."""
        self._connection = connection
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._done: list[Completion] = []
        self._held_back = threading.Event()
        threading.Thread(target=self._flush_soon, name="flush", daemon=True).start()

    def put(self, event: ExecutorEvent) -> None:
        if not isinstance(event, Finished):
            self._send_after_done(event)
            return
        with self._lock:
            self._done.append(event.completion)
            if len(self._done) >= _FLUSH_ITEMS or not self.more_follow():
                self._flush()
            elif len(self._done) == 1:
                self._held_back.set()

    def _flush_soon(self) -> None:
        """Send what is held back in time, should the next body take long."""
        while self._held_back.wait():
            self._held_back.clear()
            time.sleep(_FLUSH_S)
            self.rest()

    def rest(self) -> None:
        with self._lock:
            self._flush()

    def nudge(self) -> None:
        """The runner keeps its own account of the slots."""

    def send(self, kind: FrameType, body: msgspec.Struct, seq: int = 0) -> None:
        """Send one frame behind what was held back."""
        with self._lock:
            self._flush()
            self._write(encode_frame(kind, body, seq))

    def _send_after_done(self, event: ExecutorEvent) -> None:
        match event:
            case WaitWanted(suspend=wish):
                frame = SuspendFrame(wish.invocation_id, wish.epoch, wish.waits, wish.need, wish.timeout_us)
                self.send(FrameType.SUSPEND, frame)
            case WatchWanted():
                self.send(FrameType.SUSPEND, SuspendFrame(event.invocation_id, event.epoch, event.waits, watch=True))
            case Noted(note=note):
                self.send(FrameType.PROGRESS, ProgressFrame(note.invocation_id, note.epoch, note.body))
            case Returned():
                self.send(FrameType.RETURNED, Abandon(((event.invocation_id, event.epoch),), event.detail))
            case Began():
                self.send(FrameType.STARTED, StartedFrame(((event.invocation_id, event.epoch, event.thread),)))
            case Lost() | Finished():
                pass

    def _flush(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        try:
            self._write(encode_frame(FrameType.DONE, Done(tuple(done))))
        except FrameTooLarge:
            for completion in done:
                self._write(encode_frame(FrameType.DONE, Done((_fitting(completion),))))

    def _write(self, data: bytes) -> None:
        if os.getpid() != self._pid:
            # A child that a body forked has come out of the body: what it says is not the worker's.
            os._exit(0)
        try:
            self._connection.sendall(data)
        except OSError:
            # The runner is gone, and with it the session of everything that runs here.
            os._exit(0)


def _fitting(completion: Completion) -> Completion:
    """Return a completion as it is, or a failure if its result or its error cannot be sent."""
    try:
        encode_frame(FrameType.DONE, Done((completion,)))
    except FrameTooLarge as error:
        what = "result" if isinstance(completion, Success) else "error"
        why = f"SerializationError: its {what} is too large to be passed on ({error}); lower client_data_threshold"
        return Failure(
            invocation_id=completion.invocation_id,
            epoch=completion.epoch,
            error=b"",
            reason=why,
            worker=os.getpid(),
        )
    return completion


class Worker:
    """The main thread of a worker process."""

    def __init__(self, connection: socket.socket, now_running: NowRunning | None, lines: int | None) -> None:
        self._connection = connection
        self._lines = lines
        self._now_running = now_running
        self._decoder = FrameDecoder()
        self._outbox = FrameOutbox(connection)
        self._line = RunnerLine(self._call)
        self._executor: Executor | None = None
        self._stop_orders = StopOrders()
        self._flush_hooks: Callable[[], None] = lambda: None

    def serve(self) -> None:
        """Greet, then do what the runner says until it closes."""
        hello = Hello(PROTOCOL, os.getpid(), sys.version.partition(" ")[0])
        self._outbox.send(FrameType.HELLO, hello)
        while data := self._read():
            for frame in self._decoder.feed(data):
                self._obey(frame)
        os._exit(0)

    def _read(self) -> bytes:
        try:
            return self._connection.recv(_READ_BYTES)
        except OSError:
            return b""

    def _call(self, seq: int, call: Call) -> None:
        self._outbox.send(FrameType.CALL, call, seq)

    def _obey(self, frame: Frame) -> None:
        if frame.type is FrameType.WELCOME:
            self._load(frame.body)
            return
        if frame.type is FrameType.REPLY:
            self._line.replied(frame.seq, frame.body)
            return
        if frame.type is FrameType.BYE:
            self._flush_hooks()
            os._exit(0)
        if self._executor is None:
            raise ProtocolError(f"a {frame.type.name} frame before WELCOME")
        self._run(self._executor, frame)

    def _run(self, executor: Executor, frame: Frame) -> None:
        body = frame.body
        match frame.type:
            case FrameType.RUN:
                self._stop_orders.expected = False
                executor.run(body.claims)
            case FrameType.RESUME:
                executor.resume([Resumption(body.invocation_id, body.epoch, _wait_reply(body))])
            case FrameType.OBSERVE:
                executor.observe([Observation(body.invocation_id, body.epoch, body.outcomes, body.unknown, body.cycle)])
            case FrameType.CANCEL:
                self._stop_orders.expected = True
                executor.stop(body.invocation_id, body.epoch, StopReason(body.why), body.grace_ms / 1e3)
            case FrameType.ABANDON:
                executor.abandon(body.slots)
            case FrameType.DRAIN:
                executor.recall(older_than_s=0.0)
                # Behind everything that came back.
                self._outbox.send(FrameType.DRAIN, Drain())
            case _:
                pass

    def _load(self, welcome: Welcome) -> None:
        """Import the user's app; say why if that fails, and end."""
        try:
            if welcome.proto[0] != PROTOCOL[0]:
                raise ProtocolError(f"the runner speaks protocol {welcome.proto}, this worker {PROTOCOL}")
            app = load_app(msgspec.msgpack.decode(welcome.app, type=AppReference))
            from pynenc.logs.setup import configure_logging

            configure_logging(app.conf)
            self._flush_hooks = app.hooks.flush
            if self._lines is not None:
                record_lines(self._lines)
        except BaseException as error:  # noqa: BLE001 - importing user code; the runner hears of it and this ends
            import traceback

            self._outbox.send(FrameType.BYE, Bye(f"the app cannot be loaded: {error!r}\n{traceback.format_exc()}"))
            sys.exit(1)
        app.use_orchestrator(LinkedOrchestrator(self._line, lambda: app.backend.orchestrator))
        _warm_up(app)
        self._executor = self._make_executor(app.execution, welcome)
        self._executor.start()
        self._outbox.send(FrameType.CREDIT, Credit(CREDITS))

    def _make_executor(self, execution: AttemptExecution, welcome: Welcome) -> Executor:
        config = WorkerConfig.of_frame(welcome.config)
        make: Callable[..., Executor] = ThreadExecutor
        if config.mode is WorkerMode.ASYNCIO:
            from pynenc.runners.asyncio_executor import AsyncioExecutor

            # The runner sends no more than there are slots: a body that is no coroutine finds a thread at once.
            make = partial(AsyncioExecutor, threads=config.slots)
        executor = make(
            execution,
            slots=config.slots,
            runner_name=welcome.runner_name,
            outbox=self._outbox,
            worker=os.getpid(),
            now_running=self._now_running,
        )
        if isinstance(executor, ThreadExecutor):
            self._outbox.more_follow = executor.more_follow
        return executor


def _warm_up(app: Pynenc) -> None:
    """Import what bodies need before the first one runs."""
    import_what_bodies_use()
    try:
        _ = app.payloads, app.submitter
    except Exception as error:  # noqa: BLE001 - who needs what is missing says so
        logger.debug("warming up met %r", error)


def _wait_reply(body: Resume) -> WaitReply:
    return WaitReply(outcomes=body.outcomes, timed_out=body.timed_out, cycle=body.cycle, unknown=body.unknown)


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, should a body hold the interpreter then."""
    if sys.platform != "linux":
        return
    import ctypes
    import signal

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
