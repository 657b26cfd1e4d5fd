"""Requests to the server, for threads and for event loops, and what is done when it does not answer.

A request is in one of three places when its connection breaks: not sent (nothing happened), sent without a reply
(it may have happened), refused by the server for now (nothing happened). The first and the last are tried again until
the budget of the call is used up; the middle one only if repeating it changes nothing. A connection may also fall
silent for good without breaking: what can be repeated waits for a reply for a third of the budget only, and a
connection on which none came takes the idle ones with it, which are likely to be silent as well.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from redis import exceptions

from pynenc.backends.redis import clients
from pynenc.backends.redis.cancellations import Cancellations
from pynenc.backends.redis.faults import is_lost_connection, is_refused_for_now, translate
from pynenc.backends.redis.location import Location
from pynenc.backends.redis.loop_connections import LoopConnections
from pynenc.backends.redis.scripts import Script
from pynenc.backends.slots import Slots
from pynenc.errors import StoreUnavailable
from pynenc.io import Op, Whole

_FAILURES = (exceptions.RedisError, OSError, EOFError, StoreUnavailable)
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0


class OfThreads(NamedTuple):
    """What the threads of a process share."""

    client: Any
    slots: Slots


class Connections:
    """The connections of one process to one server, failover group or cluster. Opens nothing before the first use.

    There are never more than the pool has places, for all threads and for each event loop: thousands that wait for
    results take turns at asking.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self.prefix = location.prefix
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._blocking: OfThreads | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopConnections] = {}

    def run(
        self, script: Script, arguments: Sequence[bytes | int | str], *, durable: bool = False, repeatable: bool = True
    ) -> Op[Any]:
        """Run a script of one app and return its reply.

        Args:
            durable: with durability `replicated`, wait until enough replicas have it.
            repeatable: whether it may be sent again after a lost reply.

        Raises:
            StoreUnavailable: no answer within the budget; it may or may not have happened.
            StoreError: whatever the server said.
        """
        rest = (1, self.prefix, *arguments)
        waits = durable and self.location.durability == "replicated"
        return (yield Command(self, ("EVALSHA", script.sha, *rest), ("EVAL", script.text, *rest), waits, repeatable))

    def command(self, *parts: bytes | str | int, repeatable: bool = True) -> Op[Any]:
        """Run one plain command and return its reply; see `run`."""
        return (yield Command(self, parts, None, False, repeatable))

    def close(self) -> None:
        """Give the connections back, each on its event loop if it has one. The next call opens anew."""
        with self._lock:
            blocking, self._blocking = self._blocking, None
            self._by_loop = {}
        if blocking is not None:
            blocking.client.disconnect() if self.location.kind != "cluster" else blocking.client.close()

    # --- clients ---

    def blocking(self) -> OfThreads:
        """Return the pool of this process, or its client of the cluster."""
        blocking = self._blocking
        if blocking is None or self._pid != os.getpid():
            with self._lock:
                self._leave_parents()
                blocking = self._blocking
                if blocking is None:
                    is_cluster = self.location.kind == "cluster"
                    client = (clients.cluster_of if is_cluster else clients.pool_of)(self.location)
                    slots = Slots(self.location.pool_size, self.location.public_url)
                    blocking = self._blocking = OfThreads(client, slots)
        return blocking

    def on_loop(self) -> LoopConnections:
        """Return the connections of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None or self._pid != os.getpid():
            with self._lock:
                self._leave_parents()
                for each in [each for each in self._by_loop if each.is_closed()]:
                    del self._by_loop[each]
            found = self._by_loop[loop] = LoopConnections(self.location, partial(self._leave_loop, loop))
        return found

    def _leave_loop(self, loop: asyncio.AbstractEventLoop, connections: LoopConnections) -> None:
        if self._by_loop.get(loop) is connections:
            del self._by_loop[loop]

    def _leave_parents(self) -> None:
        """Forget what was opened before a fork: a child must neither use nor close it. The caller holds the lock."""
        if self._pid != os.getpid():
            _inherited.append(self._by_loop)
            self._pid, self._blocking, self._by_loop = os.getpid(), None, {}


_inherited: list[Any] = []


class Command(Whole):
    """One command, or a script with the text to send where the server does not know it yet."""

    __slots__ = ("_connections", "_parts", "_repeatable", "_text_parts", "_waits")

    def __init__(
        self,
        connections: Connections,
        parts: tuple[bytes | str | int, ...],
        text_parts: tuple[bytes | str | int, ...] | None,
        waits: bool,
        repeatable: bool,
    ) -> None:
        self._connections = connections
        self._parts = parts
        self._text_parts = text_parts
        self._waits = waits
        self._repeatable = repeatable

    def send(self) -> Any:
        patience = Patience(self._connections.location, self._repeatable)
        parts = self._parts
        while True:
            try:
                return self._checked(self._perform(parts, patience))
            except exceptions.NoScriptError:
                assert self._text_parts is not None
                parts = self._text_parts
            except _FAILURES as error:
                time.sleep(patience.pause_after(error))

    async def asend(self) -> Any:
        patience = Patience(self._connections.location, self._repeatable)
        parts = self._parts
        while True:
            try:
                return self._checked(await self._aperform(parts, patience))
            except exceptions.NoScriptError:
                assert self._text_parts is not None
                parts = self._text_parts
            except _FAILURES as error:
                await asyncio.sleep(patience.pause_after(error))

    def _perform(self, parts: tuple[Any, ...], patience: Patience) -> tuple[Any, Any]:
        client, slots = self._connections.blocking()
        patience.sent = False
        slots.take(patience.left_s)
        try:
            return self._perform_on(client, parts, patience)
        finally:
            slots.give()

    def _perform_on(self, client: Any, parts: tuple[Any, ...], patience: Patience) -> tuple[Any, Any]:
        if self._connections.location.kind == "cluster":
            patience.sent = True
            return client.execute_command(*parts), None
        connection = client.get_connection()
        try:
            patience.sent = True
            connection.send_command(*parts)
            if self._waits:
                connection.send_command(*self._wait_command())
            patient = {} if self._gives_up_early else {"timeout": self._connections.location.call_timeout_s}
            reply = connection.read_response(disable_decoding=True, **patient)
            return reply, connection.read_response(**patient) if self._waits else None
        except exceptions.ResponseError:
            if self._waits:
                connection.disconnect()
            raise
        except exceptions.TimeoutError:
            connection.disconnect()
            client.disconnect(inuse_connections=False)
            raise
        except BaseException:
            connection.disconnect()
            raise
        finally:
            client.release(connection)

    async def _aperform(self, parts: tuple[Any, ...], patience: Patience) -> tuple[Any, Any]:
        here = self._connections.on_loop()
        patience.sent = False
        async with here.slots:
            # Its time begins now: coroutines that wait for a place take turns, however many there are.
            patience.begin()
            return await self._aperform_on(here, parts, patience)

    async def _aperform_on(self, here: LoopConnections, parts: tuple[Any, ...], patience: Patience) -> tuple[Any, Any]:
        cancellations = Cancellations()
        if self._connections.location.kind == "cluster":
            patience.sent = True
            reply = await here.client.execute_command(*parts)
            cancellations.heed()
            return reply, None
        connection = await here.take()
        try:
            patience.sent = True
            async with asyncio.timeout(self._longest_s):
                await connection.send_command(*parts)
                if self._waits:
                    await connection.send_command(*self._wait_command())
                reply = await connection.read_response(disable_decoding=True)
                reached = await connection.read_response() if self._waits else None
            cancellations.heed()
        except BaseException as error:
            # After an error that the server replied with, nothing else is under way.
            if isinstance(error, exceptions.ResponseError) and not self._waits:
                here.give(connection)
            else:
                await connection.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                await here.drop_idle()
            raise
        here.give(connection)
        return reply, reached

    @property
    def _longest_s(self) -> float:
        """How long an exchange on an event loop may take; early enough for another connection where that may help."""
        budget_s = self._connections.location.call_timeout_s
        return budget_s / 3 if self._gives_up_early else budget_s

    @property
    def _gives_up_early(self) -> bool:
        """Whether another connection is tried while there is budget left: the client library's own timeout is short."""
        return self._repeatable and not self._waits

    def _wait_command(self) -> tuple[str, int, int]:
        location = self._connections.location
        return "WAIT", location.replicas, int(location.call_timeout_s * 500)

    def _checked(self, replies: tuple[Any, Any]) -> Any:
        reply, reached = replies
        if self._waits and reached < self._connections.location.replicas:
            raise StoreUnavailable(
                f"only {reached} of {self._connections.location.replicas} replicas of "
                f"{self._connections.location.public_url} have the write (durability=replicated): it is done on the "
                "master, but a failover now would lose it"
            )
        return reply


class Patience:
    """How long one call goes on trying."""

    def __init__(self, location: Location, repeatable: bool) -> None:
        self._location = location
        self._repeatable = repeatable
        self._until = time.monotonic() + location.call_timeout_s
        self._pause_s = _FIRST_PAUSE_S
        self._began = False
        self.sent = False
        """Whether the server may have got the request of this attempt."""

    @property
    def left_s(self) -> float:
        """How much of the budget is left."""
        return self._until - time.monotonic()

    def begin(self) -> None:
        """Let the budget begin with the first attempt, after waiting for one's turn."""
        if not self._began:
            self._began = True
            self._until = time.monotonic() + self._location.call_timeout_s

    def pause_after(self, error: Exception) -> float:
        """Return how long to wait before the next attempt.

        Raises:
            PynencError: there is to be none.
        """
        again = is_refused_for_now(error) or (is_lost_connection(error) and (self._repeatable or not self.sent))
        pause_s = self._pause_s * random.uniform(0.5, 1.0)
        if not again or time.monotonic() + pause_s > self._until:
            if isinstance(error, StoreUnavailable):
                raise error
            raise translate(error, self._location.public_url) from None
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)
        return pause_s
