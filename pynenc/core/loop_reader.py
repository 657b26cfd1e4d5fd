"""Waiting for outcomes on an event loop: one session, one task and one doorbell per loop, and no thread.

Coroutines leave what they wait for with the task and sleep. The task, one step after the other,
watches what was left (announce, and look: what has ended is delivered at once), fetches when the bell rang or it is
due, and sleeps until something of that happens again. Thousands that begin to wait at once are one request.

States: serving (from the first subscription) -> lingering (nobody waits; the session is kept for the next one) ->
ending (unregistered: whoever comes now gets a new reader; session and bell are given back) -> over.

Crash points, besides those of `watches`:

* The store does not answer while it is asked to watch: those who began to wait get the error, as blocking callers do.
  Those whose watch was confirmed stay in the table through any outage, and are watched again after it.
* The bell's line breaks: it is heard once more when there is a new one, and everything is watched again.
* A waiter is cancelled: it leaves the table at once; its watch in the store is answered to nobody.
* The loop ends (`asyncio.run` cancels its tasks), or the app is closed: the task gives session and bell back, and
  whoever waits in spite of that gets an error. If the loop is closed without that, the lease ends the session.
* Fork: the child has another loop, and so another reader; the inherited one is neither run nor collected (`client`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Sequence

from pynenc.core import watches
from pynenc.core.watches import Deliver, Rounds, Subscription, Watches
from pynenc.errors import InvocationNotFound, StoreError
from pynenc.io import arun
from pynenc.model.ids import InvocationId, SessionId, id_text
from pynenc.ports.loop_doorbell import LoopDoorbell
from pynenc.ports.orchestrator import Orchestrator

logger = logging.getLogger(__name__)

_GOODBYE_S = 2.0
"""How long the end of a loop waits for a store that does not answer."""


class Arrival:
    """One who began to wait: what for, and whether the store knows of it."""

    __slots__ = ("ids", "watched")

    def __init__(self, ids: Sequence[InvocationId]) -> None:
        self.ids = ids
        self.watched: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def admit(self, unknown: set[InvocationId]) -> None:
        """Let it wait, unless it waits for something that nobody knows."""
        if not unknown.isdisjoint(self.ids):
            lost = next(each for each in self.ids if each in unknown)
            self.refuse(InvocationNotFound(f"no invocation has the id {id_text(lost)}, or it was purged"))
        elif not self.watched.done():
            self.watched.set_result(None)

    def refuse(self, error: BaseException) -> None:
        """Send it away with an error."""
        if not self.watched.done():
            self.watched.set_exception(error)


class LoopReader:
    """Waits on the running event loop for all of its coroutines. Made and used there; see the module for its states.

    Args:
        lease_us, name: of the session.
        ending: called with the loop as soon as nobody can subscribe here any more.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        *,
        lease_us: int,
        name: str,
        ending: Callable[[asyncio.AbstractEventLoop], None],
    ) -> None:
        self._orchestrator = orchestrator
        self._ending = ending
        self._watches: Watches[LoopDoorbell] = Watches(
            orchestrator, lease_us=lease_us, name=name, hang=lambda: orchestrator.doorbell_on_loop(self._hear)
        )
        self._rounds = Rounds(self._watches)
        self._arrivals: deque[Arrival] = deque()
        self._has_rung = False
        self._stirred = asyncio.Event()
        # An empty context: what the first waiter has in its own must not live on here.
        self._task = asyncio.get_running_loop().create_task(
            self._serve(), name="pynenc-client", context=contextvars.Context()
        )

    async def subscribe(self, ids: Sequence[InvocationId], deliver: Deliver) -> Subscription:
        """Have the outcome of each of `ids` delivered once: those that are final at once, others as they end.

        Raises:
            InvocationNotFound: nobody knows one of the ids.
            StoreError: the store could not be asked.
        """
        subscription = self._watches.add(ids, deliver)
        arrival = Arrival(ids)
        self._arrivals.append(arrival)
        self._stirred.set()
        try:
            await arrival.watched
        except BaseException as error:
            subscription.close()
            # Many may get the same one, and each would add to its traceback.
            error.__traceback__ = None
            raise
        return subscription

    def take_session(self) -> SessionId | None:
        """Take the session away, to end it. May be called from any thread."""
        with self._watches.lock:
            bell = self._watches.bell
            session, _ = self._watches.take_session()
            # The bell stays: it can be closed on its loop only.
            self._watches.bell = bell
        return session

    def cancel(self) -> None:
        """Begin to end."""
        self._task.cancel()

    async def aclose(self) -> None:
        """End, and wait until everything is given back."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _hear(self, was_cut: bool) -> None:
        self._has_rung = True
        if was_cut:
            self._rounds.may_have_lost = True
        self._stirred.set()

    async def _serve(self) -> None:
        try:
            await self._read()
        except GeneratorExit:
            # The loop was closed without ending its tasks: nothing can be awaited any more.
            raise
        except BaseException:
            await self._end()
            raise
        await self._end()

    async def _read(self) -> None:
        now = asyncio.get_running_loop().time
        due_at = keep_until = now() + watches.LINGER_S
        while True:
            self._stirred.clear()
            if self._arrivals or self._watches.are_wanted:
                keep_until = now() + watches.LINGER_S
            elif now() >= keep_until:
                return
            while self._arrivals:
                await self._admit()
            if self._has_rung or now() >= due_at:
                self._has_rung = False
                due_s = await arun(self._rounds.next())
                if due_s is None and not self._arrivals:
                    return
                due_at = now() + (due_s or 0.0)
            await self._sleep_until(due_at if self._watches.are_wanted else min(due_at, keep_until))

    async def _admit(self) -> None:
        """Watch for as many of those who have come as fit into one request."""
        coming = [self._arrivals.popleft()]
        number = len(coming[0].ids)
        while self._arrivals and number + len(self._arrivals[0].ids) <= watches.WATCH_BATCH:
            number += len(self._arrivals[0].ids)
            coming.append(self._arrivals.popleft())
        ids = list(dict.fromkeys(each for arrival in coming for each in arrival.ids))
        unknown: set[InvocationId] = set()
        try:
            for start in range(0, len(ids), watches.WATCH_BATCH):
                unknown.update(await arun(self._watches.watch(ids[start : start + watches.WATCH_BATCH])))
        except Exception as error:  # noqa: BLE001 - those who asked must hear of it, whatever it is
            for arrival in coming:
                arrival.refuse(error)
            return
        except BaseException:
            self._arrivals.extendleft(reversed(coming))
            raise
        for arrival in coming:
            arrival.admit(unknown)

    async def _sleep_until(self, moment: float) -> None:
        alarm = asyncio.get_running_loop().call_at(moment, self._stirred.set)
        try:
            await self._stirred.wait()
        finally:
            alarm.cancel()

    async def _end(self) -> None:
        self._ending(asyncio.get_running_loop())
        error = StoreError("nobody waits for results on this event loop any more: it ends, or the app was closed")
        for arrival in self._arrivals:
            arrival.refuse(error)
        self._watches.fail_all(error)
        with self._watches.lock:
            session, bell = self._watches.take_session()
        try:
            async with asyncio.timeout(_GOODBYE_S):
                if bell is not None:
                    await bell.close()
                if session is not None:
                    await arun(self._orchestrator.close_session(session))
        except (StoreError, TimeoutError) as goodbye:
            # Its lease ends it all the same.
            logger.debug("could not close client session %s: %s", session, goodbye)
