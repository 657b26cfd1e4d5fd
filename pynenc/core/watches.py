"""Who waits for which invocations, and the session that watches for them: everything but sleeping.

A thread reads for the threads of a process (`client`), a task for the coroutines of an event loop (`loop_reader`). Both
do what is here; they differ in how they sleep and wake.

Crash points: a notice that was lost with a reply, a watch that a crashing store lost (the bell tells that its line
was cut), or a session that expired, is made good by watching again everything that is still waited for; a request that
was given up and is applied later takes notices along, so watches are also made again now and then. An outcome is
delivered once because its subscription leaves the table with it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from pynenc.errors import InvocationNotFound, SessionGone, StoreUnavailable
from pynenc.io import Op
from pynenc.model.ids import InvocationId, SessionId, id_text
from pynenc.model.records import Exchange, FinishedNotice, Outcome, SessionInfo, SessionKind, WatchReply
from pynenc.ports.orchestrator import Orchestrator

logger = logging.getLogger(__name__)

LINGER_S = 5.0
"""How long a session outlives the last one who waited."""
WATCH_BATCH = 1_000
WATCH_AGAIN_S = 30.0
_FIRST_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 5.0

Deliver = Callable[[Outcome | BaseException], None]
"""Receives an outcome, or the error that ends waiting. Called by the reader; must not block."""


class Bell(Protocol):
    """What is common to the bells of processes and of event loops."""

    address: str


B = TypeVar("B", bound=Bell)


class Subscription:
    """Somebody's wish for the outcomes of some invocations. Close it when it is of no use any more."""

    __slots__ = ("_watches", "deliver", "ids")

    def __init__(self, watches: Watches[B], ids: Iterable[InvocationId], deliver: Deliver) -> None:
        self._watches = watches
        self.ids = set(ids)
        self.deliver = deliver

    def close(self) -> None:
        """Stop deliveries. Repeating changes nothing."""
        self._watches.drop(self)


class Watches(Generic[B]):
    """The table of those who wait, and their session. Operations may run in several threads at once.

    Args:
        lease_us: of the session, in microseconds.
        name: of the session.
        hang: makes the bell that the session is rung with.
    """

    def __init__(self, orchestrator: Orchestrator, *, lease_us: int, name: str, hang: Callable[[], B]) -> None:
        self._orchestrator = orchestrator
        self._lease_us = lease_us
        self._name = name
        self._hang = hang
        self.lock = threading.Lock()
        """Guards the table, session and bell; a reader may guard its own state with it, too."""
        self._waiting: dict[InvocationId, list[Subscription]] = {}
        self._session: SessionId | None = None
        self.bell: B | None = None

    # --- those who wait ---

    @property
    def are_wanted(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(self._waiting)

    def add(self, ids: Iterable[InvocationId], deliver: Deliver) -> Subscription:
        """Note that somebody waits. What is in the store is delivered once it was watched."""
        subscription = Subscription(self, ids, deliver)
        with self.lock:
            for invocation_id in subscription.ids:
                self._waiting.setdefault(invocation_id, []).append(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forget that somebody waits."""
        with self.lock:
            for invocation_id in subscription.ids:
                others = self._waiting.get(invocation_id)
                if others is not None and subscription in others:
                    others.remove(subscription)
                    if not others:
                        del self._waiting[invocation_id]
            subscription.ids.clear()

    def drop_all(self) -> None:
        """Forget all who wait; they get nothing more."""
        with self.lock:
            self._waiting.clear()

    def fail_all(self, error: BaseException) -> None:
        """End the waiting of all with an error."""
        with self.lock:
            ids = list(self._waiting)
        for invocation_id in ids:
            self._fail(invocation_id, error)

    def _deliver(self, outcomes: Iterable[Outcome]) -> None:
        with self.lock:
            wanted = [(self._take(outcome.invocation_id), outcome) for outcome in outcomes]
        for subscriptions, outcome in wanted:
            for subscription in subscriptions:
                subscription.deliver(outcome)

    def _fail(self, invocation_id: InvocationId, error: BaseException) -> None:
        with self.lock:
            subscriptions = self._take(invocation_id)
        for subscription in subscriptions:
            subscription.deliver(error)

    def _take(self, invocation_id: InvocationId) -> list[Subscription]:
        """Take an id from all who wait for it, and return them; the caller holds the lock."""
        subscriptions = self._waiting.pop(invocation_id, [])
        for subscription in subscriptions:
            subscription.ids.discard(invocation_id)
        return subscriptions

    # --- the session ---

    def take_session(self) -> tuple[SessionId | None, B | None]:
        """Give up session and bell; the caller holds the lock. Whoever watches next opens new ones."""
        taken = self._session, self.bell
        self._session = self.bell = None
        return taken

    def _open(self) -> Op[SessionId]:
        with self.lock:
            if self._session is not None:
                return self._session
            if self.bell is None:
                self.bell = self._hang()
            bell = self.bell
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
        """Make `session` the one that watches unless another thread was quicker; return which it is."""
        with self.lock:
            if self._session is None:
                self._session = session
            return self._session

    def _forget_session(self, session: SessionId) -> None:
        with self.lock:
            if self._session == session:
                self._session = None

    # --- the store ---

    def watch(self, ids: Sequence[InvocationId]) -> Op[tuple[InvocationId, ...]]:
        """Have the ends of `ids` told from now on, and deliver those that have ended; return ids that nobody knows.

        Args:
            ids: at most `WATCH_BATCH`.
        """
        try:
            reply = yield from self._watch(ids)
        except SessionGone:
            yield from self.watch_everything()
            reply = yield from self._watch(ids)
        self._deliver(reply.outcomes)
        return reply.unknown

    def watch_everything(self) -> Op[None]:
        """Watch again all that is waited for: after a lost session or a lost reply."""
        with self.lock:
            ids = list(self._waiting)
        for start in range(0, len(ids), WATCH_BATCH):
            reply = yield from self._watch(ids[start : start + WATCH_BATCH])
            self._deliver(reply.outcomes)
            for invocation_id in reply.unknown:
                self._fail(invocation_id, InvocationNotFound(f"invocation {id_text(invocation_id)} was purged"))

    def _watch(self, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        session = yield from self._open()
        try:
            return (yield from self._orchestrator.watch(session, ids))
        except SessionGone:
            self._forget_session(session)
            raise

    def fetch(self) -> Op[float]:
        """Fetch and deliver what the store has to tell; return in how many seconds that is due again."""
        session = yield from self._open()
        try:
            reply = yield from self._orchestrator.exchange(Exchange(session=session))
        except SessionGone:
            self._forget_session(session)
            raise
        self._deliver(notice.outcome for notice in reply.inbox if isinstance(notice, FinishedNotice))
        if reply.more:
            return 0.0
        heartbeat_s = self._lease_us / 3_000_000
        return heartbeat_s if reply.next_due_us is None else min(heartbeat_s, reply.next_due_us / 1_000_000)


class Rounds(Generic[B]):
    """What a reader asks the store for, time after time, and when the next time is due."""

    def __init__(self, watches: Watches[B]) -> None:
        self._watches = watches
        self._backoff_s = 0.0
        self._watched_at = time.monotonic()
        self.may_have_lost = False
        """Whether notices or watches may be lost: all that is waited for is watched again in the next round."""

    def next(self) -> Op[float | None]:
        """Fetch what there is for those who wait; return within how many seconds the next round is due.

        A store that does not answer is asked again after a while. One that refuses for another reason ends the waiting
        of all with its error: None, there is nothing to go on for.
        """
        try:
            if self.may_have_lost or time.monotonic() > self._watched_at + WATCH_AGAIN_S:
                self.may_have_lost, self._watched_at = False, time.monotonic()
                yield from self._watches.watch_everything()
            due_s = yield from self._watches.fetch()
        except SessionGone:
            self.may_have_lost = True
            return 0.0
        except StoreUnavailable as error:
            self.may_have_lost = True
            self._backoff_s = min(_LONGEST_BACKOFF_S, self._backoff_s * 2 or _FIRST_BACKOFF_S)
            logger.warning("the store does not answer, trying again in %.2f s: %s", self._backoff_s, error)
            return self._backoff_s
        except Exception as error:  # noqa: BLE001 - waiters must hear of it, whatever it is
            self._watches.fail_all(error)
            return None
        self._backoff_s = 0.0
        return min(due_s, max(0.0, self._watched_at + WATCH_AGAIN_S - time.monotonic()))
