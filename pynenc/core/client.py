"""Waiting for outcomes outside of runs: what the threads and the event loops of a process have for it.

For all threads of a process there are one session, one reader thread and one doorbell; for each event loop there is a
reader of its own, which needs no thread (`loop_reader`). What they ask for is the same: `watches`.

States of the reader thread: absent -> running (first subscription) -> absent (nothing to wait for during `LINGER_S`).
After a fork the child starts with empty tables; what it inherited is neither used nor collected.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pynenc.core import watches
from pynenc.core.watches import Deliver, Rounds, Subscription, Watches
from pynenc.errors import InvocationNotFound, StoreError
from pynenc.io import Op, run
from pynenc.model.ids import InvocationId, SessionId, id_text
from pynenc.polling import readable
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.orchestrator import Orchestrator

if TYPE_CHECKING:
    import asyncio

    from pynenc.core.loop_reader import LoopReader

logger = logging.getLogger(__name__)

_LEASE_US = 60_000_000


class Client:
    """The waiting side of an app in one process; safe for threads, event loops and forks."""

    def __init__(self, orchestrator: Orchestrator, *, lease_us: int, name: str) -> None:
        self._orchestrator = orchestrator
        self._lease_us = lease_us
        self._name = name
        self._reset()
        _clients.add(self)

    def _reset(self) -> None:
        self._watches: Watches[Doorbell] = Watches(
            self._orchestrator, lease_us=self._lease_us, name=self._name, hang=self._orchestrator.doorbell
        )
        self._reader: threading.Thread | None = None
        self._closing = False
        self._idle_rounds = 0
        self._nudge: tuple[socket.socket, socket.socket] | None = None
        self._loops_lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, LoopReader] = {}

    def start_afresh(self) -> None:
        """Begin anew in a child process: sessions, bells and loops are the parent's."""
        _inherited.append((self._watches, self._nudge, self._loops))
        self._reset()

    # --- threads ---

    def subscribe(self, ids: Sequence[InvocationId], deliver: Deliver) -> Op[Subscription]:
        """Have the outcome of each of `ids` delivered once: those that are final at once, others as they end.

        Deliveries come from the reader thread.

        Raises:
            InvocationNotFound: nobody knows one of the ids.
        """
        subscription = self._watches.add(ids, deliver)
        try:
            for start in range(0, len(ids), watches.WATCH_BATCH):
                unknown = yield from self._watches.watch(ids[start : start + watches.WATCH_BATCH])
                if unknown:
                    raise InvocationNotFound(f"no invocation has the id {id_text(unknown[0])}, or it was purged")
        except BaseException:
            subscription.close()
            raise
        self._ensure_reader()
        return subscription

    def _ensure_reader(self) -> None:
        with self._watches.lock:
            if not self._watches.are_wanted or self._closing or self._reader is not None:
                return
            self._nudge = self._nudge or _nonblocking_pair()
            self._reader = threading.Thread(target=self._read, name="pynenc-client", daemon=True)
            self._reader.start()

    def _wake_reader(self) -> None:
        if self._nudge is not None:
            try:
                self._nudge[1].send(b".")
            except BlockingIOError:
                pass

    def _read(self) -> None:
        rounds = Rounds(self._watches)
        while not self._finished():
            due_s = run(rounds.next())
            if due_s is None:
                # Nobody is left to ask for: the reader ends.
                self._idle_rounds = 1
            elif self._sleep(due_s):
                rounds.may_have_lost = True

    def _sleep(self, longest_s: float) -> bool:
        """Sleep until something arrives or is due; return whether the line to the store was cut meanwhile."""
        bell, nudge = self._watches.bell, self._nudge
        if bell is None or nudge is None:
            time.sleep(min(longest_s, 0.01))
            return False
        idle = not self._watches.are_wanted
        descriptors = [bell.fileno(), nudge[0].fileno()]
        ready = readable(descriptors, min(longest_s, watches.LINGER_S) if idle else longest_s)
        if descriptors[0] in ready:
            bell.clear()
        if descriptors[1] in ready:
            nudge[0].recv(4096)
        self._idle_rounds = 0 if ready or not idle else self._idle_rounds + 1
        return bell.was_cut()

    def _finished(self) -> bool:
        """Whether the reader may end; if so it has unregistered itself and ended an unused session."""
        with self._watches.lock:
            if self._closing:
                self._reader = None
                return True
            if self._watches.are_wanted or self._idle_rounds == 0:
                return False
            self._reader = None
            self._idle_rounds = 0
            session, bell = self._watches.take_session()
        self._end_session(session, bell)
        return True

    def _end_session(self, session: SessionId | None, bell: Doorbell | None) -> None:
        if session is not None:
            try:
                run(self._orchestrator.close_session(session))
            except StoreError as error:
                # Its lease ends it all the same.
                logger.debug("could not close client session %s: %s", session, error)
        if bell is not None:
            bell.close()

    # --- event loops ---

    async def asubscribe(self, ids: Sequence[InvocationId], deliver: Deliver) -> Subscription:
        """`subscribe` for coroutines; deliveries come on the running event loop."""
        return await self._loop_reader().subscribe(ids, deliver)

    def _loop_reader(self) -> LoopReader:
        import asyncio

        from pynenc.core.loop_reader import LoopReader

        loop = asyncio.get_running_loop()
        with self._loops_lock:
            reader = self._loops.get(loop)
            if reader is None:
                for each in [each for each in self._loops if each.is_closed()]:
                    del self._loops[each]
                reader = self._loops[loop] = LoopReader(
                    self._orchestrator, lease_us=self._lease_us, name=self._name, ending=self._forget_loop
                )
        return reader

    def _forget_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._loops_lock:
            self._loops.pop(loop, None)

    # --- the end ---

    async def aclose(self) -> None:
        """End the session and the reader of the running event loop."""
        import asyncio

        reader = self._loops.get(asyncio.get_running_loop())
        if reader is not None:
            await reader.aclose()

    def close(self) -> None:
        """End every session and reader; whoever still waits gets nothing more, coroutines get an error."""
        with self._watches.lock:
            self._closing = True
            reader = self._reader
        self._watches.drop_all()
        self._wake_reader()
        if reader is not None and reader is not threading.current_thread():
            reader.join(timeout=2.0)
        with self._watches.lock:
            self._closing = False
            session, bell = self._watches.take_session()
        self._end_session(session, bell)
        with self._loops_lock:
            loops = list(self._loops.items())
        for loop, loop_reader in loops:
            self._end_session(loop_reader.take_session(), None)
            try:
                loop.call_soon_threadsafe(loop_reader.cancel)
            except RuntimeError:
                # The loop has been closed.
                self._forget_loop(loop)


def client_of(orchestrator: Orchestrator) -> Client:
    """Return a client of this process."""
    name = f"client@{socket.gethostname()}:{os.getpid()}"
    return Client(orchestrator, lease_us=_LEASE_US, name=name)


def _nonblocking_pair() -> tuple[socket.socket, socket.socket]:
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    return receiver, sender


_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_inherited: list[Any] = []
"""Of the parent: collecting it in a child would close and unregister what the parent still uses."""


def _after_fork() -> None:
    for client in list(_clients):
        client.start_afresh()


def _at_exit() -> None:
    for client in list(_clients):
        client.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
