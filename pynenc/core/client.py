"""Waiting for outcomes outside of runs: one session, one reader thread and one doorbell per process.

States of the reader: absent -> running (first subscription) -> absent (nothing to wait for during `LINGER_S`).
Crash points: a notice that was lost with a reply, a watch that a crashing store lost (the bell tells that its line
was cut), or a session that expired, is made good by watching again everything that is still waited for; a request that
was given up and is applied later takes notices along, so watches are also made again now and then. An outcome is
delivered once because its subscription leaves the table with it. After a fork the child starts with an empty table.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence

from pynenc.errors import InvocationNotFound, SessionGone, StoreError, StoreUnavailable
from pynenc.io import Op, run
from pynenc.model.ids import InvocationId, SessionId, id_text
from pynenc.model.records import (
    Exchange,
    FinishedNotice,
    Outcome,
    SessionInfo,
    SessionKind,
    WatchReply,
)
from pynenc.polling import readable
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.orchestrator import Orchestrator

logger = logging.getLogger(__name__)

_LEASE_US = 60_000_000
LINGER_S = 5.0
WATCH_BATCH = 1_000
WATCH_AGAIN_S = 30.0
_FIRST_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 5.0

Deliver = Callable[[Outcome | BaseException], None]
"""Receives an outcome, or the error that ends waiting. Called from the reader thread; must not block."""


class Subscription:
    """Somebody's wish for the outcomes of some invocations. Close it when it is of no use any more."""

    __slots__ = ("_client", "deliver", "ids")

    def __init__(self, client: Client, ids: Iterable[InvocationId], deliver: Deliver) -> None:
        self._client = client
        self.ids = set(ids)
        self.deliver = deliver

    def close(self) -> None:
        """Stop deliveries. Repeating changes nothing."""
        self._client._drop(self)


class Client:
    """The waiting side of an app in one process; safe for threads, event loops and forks."""

    def __init__(self, orchestrator: Orchestrator, *, lease_us: int, name: str) -> None:
        self._orchestrator = orchestrator
        self._lease_us = lease_us
        self._name = name
        self._reset()
        _clients.add(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[InvocationId, list[Subscription]] = {}
        self._reader: threading.Thread | None = None
        self._session: SessionId | None = None
        self._bell: Doorbell | None = None
        self._closing = False
        self._idle_rounds = 0
        self._nudge: tuple[socket.socket, socket.socket] | None = None

    def subscribe(self, ids: Sequence[InvocationId], deliver: Deliver) -> Op[Subscription]:
        """Have the outcome of each of `ids` delivered once: those that are final at once, others as they end.

        Raises:
            InvocationNotFound: nobody knows one of the ids.
        """
        subscription = Subscription(self, ids, deliver)
        with self._lock:
            for invocation_id in subscription.ids:
                self._waiting.setdefault(invocation_id, []).append(subscription)
        try:
            for start in range(0, len(ids), WATCH_BATCH):
                reply = yield from self._watch(ids[start : start + WATCH_BATCH])
                if reply.unknown:
                    raise InvocationNotFound(f"no invocation has the id {id_text(reply.unknown[0])}, or it was purged")
                self._deliver(reply.outcomes)
        except BaseException:
            subscription.close()
            raise
        self._ensure_reader()
        return subscription

    def close(self) -> None:
        """End the session and the reader; whoever still waits gets nothing more."""
        with self._lock:
            self._closing = True
            reader = self._reader
            self._waiting.clear()
        self._wake_reader()
        if reader is not None and reader is not threading.current_thread():
            reader.join(timeout=2.0)
        with self._lock:
            self._closing = False
            session, bell = self._take_session()
        self._end_session(session, bell)

    # --- the session ---

    def _open(self) -> Op[SessionId]:
        with self._lock:
            if self._session is not None:
                return self._session
            if self._bell is None:
                self._bell = self._orchestrator.doorbell()
            bell = self._bell
        info = SessionInfo(
            kind=SessionKind.CLIENT,
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            doorbell=bell.address,
        )
        session = yield from self._orchestrator.open_session(info, lease_us=self._lease_us)
        kept = self._adopt(session)
        if kept != session:
            yield from self._orchestrator.close_session(session)
        return kept

    def _adopt(self, session: SessionId) -> SessionId:
        """Make `session` the one of this client unless another thread was quicker; return which it is."""
        with self._lock:
            if self._session is None:
                self._session = session
            return self._session

    def _watch(self, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        session = yield from self._open()
        try:
            return (yield from self._orchestrator.watch(session, ids))
        except SessionGone:
            self._forget_session(session)
        yield from self._watch_everything()
        session = yield from self._open()
        return (yield from self._orchestrator.watch(session, ids))

    def _watch_everything(self) -> Op[None]:
        """Watch again all that is waited for: after a lost session or a lost reply."""
        with self._lock:
            ids = list(self._waiting)
        session = yield from self._open()
        for start in range(0, len(ids), WATCH_BATCH):
            reply = yield from self._orchestrator.watch(session, ids[start : start + WATCH_BATCH])
            self._deliver(reply.outcomes)
            for invocation_id in reply.unknown:
                self._fail(invocation_id, InvocationNotFound(f"invocation {id_text(invocation_id)} was purged"))

    def _forget_session(self, session: SessionId) -> None:
        with self._lock:
            if self._session == session:
                self._session = None

    def _take_session(self) -> tuple[SessionId | None, Doorbell | None]:
        """Give up session and bell; the caller holds the lock. Whoever subscribes next opens new ones."""
        taken = self._session, self._bell
        self._session = self._bell = None
        return taken

    def _end_session(self, session: SessionId | None, bell: Doorbell | None) -> None:
        if session is not None:
            try:
                run(self._orchestrator.close_session(session))
            except StoreError as error:
                # Its lease ends it all the same.
                logger.debug("could not close client session %s: %s", session, error)
        if bell is not None:
            bell.close()

    # --- deliveries ---

    def _deliver(self, outcomes: Iterable[Outcome]) -> None:
        with self._lock:
            wanted = [(self._take(outcome.invocation_id), outcome) for outcome in outcomes]
        for subscriptions, outcome in wanted:
            for subscription in subscriptions:
                subscription.deliver(outcome)

    def _fail(self, invocation_id: InvocationId, error: BaseException) -> None:
        with self._lock:
            subscriptions = self._take(invocation_id)
        for subscription in subscriptions:
            subscription.deliver(error)

    def _take(self, invocation_id: InvocationId) -> list[Subscription]:
        """Take an id from all who wait for it, and return them; the caller holds the lock."""
        subscriptions = self._waiting.pop(invocation_id, [])
        for subscription in subscriptions:
            subscription.ids.discard(invocation_id)
        return subscriptions

    def _drop(self, subscription: Subscription) -> None:
        with self._lock:
            for invocation_id in subscription.ids:
                others = self._waiting.get(invocation_id)
                if others is not None and subscription in others:
                    others.remove(subscription)
                    if not others:
                        del self._waiting[invocation_id]
            subscription.ids.clear()

    # --- the reader ---

    def _ensure_reader(self) -> None:
        with self._lock:
            if not self._waiting or self._closing or self._reader is not None:
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
        backoff_s = 0.0
        lost_replies = False
        watched_at = time.monotonic()
        while not self._finished():
            try:
                if lost_replies or time.monotonic() > watched_at + WATCH_AGAIN_S:
                    run(self._watch_everything())
                    lost_replies, watched_at = False, time.monotonic()
                due_s = min(self._fetch(), max(0.0, watched_at + WATCH_AGAIN_S - time.monotonic()))
                backoff_s = 0.0
            except SessionGone:
                with self._lock:
                    self._session = None
                lost_replies = True
                continue
            except StoreUnavailable as error:
                lost_replies = True
                backoff_s = min(_LONGEST_BACKOFF_S, backoff_s * 2 or _FIRST_BACKOFF_S)
                logger.warning("the store does not answer, trying again in %.2f s: %s", backoff_s, error)
                due_s = backoff_s
            except Exception as error:  # noqa: BLE001 - waiters must hear of it, whatever it is
                self._fail_all(error)
                # Nobody is left to ask for: the reader ends, instead of asking again without a pause.
                self._idle_rounds = 1
                continue
            lost_replies = self._sleep(due_s) or lost_replies

    def _fetch(self) -> float:
        """Fetch what has arrived; return how long the reader may sleep, in seconds."""
        session = run(self._open())
        reply = run(self._orchestrator.exchange(Exchange(session=session)))
        self._deliver(notice.outcome for notice in reply.inbox if isinstance(notice, FinishedNotice))
        if reply.more:
            return 0.0
        heartbeat_s = self._lease_us / 3_000_000
        return heartbeat_s if reply.next_due_us is None else min(heartbeat_s, reply.next_due_us / 1_000_000)

    def _sleep(self, longest_s: float) -> bool:
        """Sleep until something arrives or is due; return whether the line to the store was cut meanwhile."""
        bell, nudge = self._bell, self._nudge
        if bell is None or nudge is None:
            time.sleep(min(longest_s, 0.01))
            return False
        with self._lock:
            idle = not self._waiting
        descriptors = [bell.fileno(), nudge[0].fileno()]
        ready = readable(descriptors, min(longest_s, LINGER_S) if idle else longest_s)
        if descriptors[0] in ready:
            bell.clear()
        if descriptors[1] in ready:
            nudge[0].recv(4096)
        self._idle_rounds = 0 if ready or not idle else self._idle_rounds + 1
        return bell.was_cut()

    def _finished(self) -> bool:
        """Whether the reader may end; if so it has unregistered itself and ended an unused session."""
        with self._lock:
            if self._closing:
                self._reader = None
                return True
            if self._waiting or self._idle_rounds == 0:
                return False
            self._reader = None
            self._idle_rounds = 0
            session, bell = self._take_session()
        self._end_session(session, bell)
        return True

    def _fail_all(self, error: BaseException) -> None:
        with self._lock:
            ids = list(self._waiting)
        for invocation_id in ids:
            self._fail(invocation_id, error)


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


def _after_fork() -> None:
    for client in _clients:
        client._reset()


def _at_exit() -> None:
    for client in list(_clients):
        client.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
