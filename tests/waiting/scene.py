"""A store with those who wait on event loops, and one who ends what they wait for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pynenc.core.client import Client
from pynenc.io import run
from pynenc.model.ids import InvocationId, new_invocation_id
from pynenc.model.records import Exchange, Outcome, SessionInfo, SessionKind, Submission, Success
from pynenc.ports.backend import Backend

HOUR_US = 3_600_000_000
PATIENCE_S = 60.0


class Scene:
    """One store.

    Args:
        direct: the store as the one reaches it who submits and ends.
        waiting: the store as those reach it who wait.
        app_id: of the app, where a test needs it.
    """

    def __init__(self, direct: Backend, waiting: Backend, app_id: str = "") -> None:
        self.app_id = app_id
        self.direct = direct
        self.waiting = waiting
        # With so long a lease no heartbeat helps anybody who was forgotten.
        self.client = Client(waiting.orchestrator, lease_us=HOUR_US, name="client")
        info = SessionInfo(kind=SessionKind.RUNNER, name="runner", host="host", pid=1)
        self._runner = run(direct.orchestrator.open_session(info, lease_us=HOUR_US))

    def submit(self, number: int = 1) -> list[InvocationId]:
        """Submit so many, and return their ids."""
        items = [Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"") for _ in range(number)]
        run(self.direct.orchestrator.submit(items))
        return [item.invocation_id for item in items]

    def finish(self, ids: Sequence[InvocationId]) -> None:
        """End these; each results in its own id."""
        control = self.direct.orchestrator
        for start in range(0, len(ids), 500):
            replies = run(control.claim_ids(self._runner, ids[start : start + 500]))
            claims = [reply.claim for reply in replies if reply.claim is not None]
            ends = [Success(invocation_id=c.invocation_id, epoch=c.epoch, result=c.invocation_id) for c in claims]
            run(control.exchange(Exchange(session=self._runner, completions=tuple(ends))))

    def sessions(self) -> int:
        """Return how many sessions of those who wait are open."""
        rows = run(self.direct.orchestrator.list_sessions())
        return sum(row.info.kind is SessionKind.CLIENT for row in rows)

    def close(self) -> None:
        self.client.close()
        self.waiting.close()


class Waiter:
    """Waits on the running event loop. `begin` it, and what it waits for is watched."""

    def __init__(self, client: Client, ids: Sequence[InvocationId]) -> None:
        self._client = client
        self._ids = ids
        self._arrived: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()

    async def begin(self) -> None:
        self._subscription = await self._client.asubscribe(self._ids, self._arrived.put_nowait)

    async def results(self) -> list[bytes]:
        """Return what they resulted in, in the order of arrival; raise what ends the waiting."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = [await self._arrived.get() for _ in self._ids]
        finally:
            self._subscription.close()
        for item in found:
            if isinstance(item, BaseException):
                raise item
        return [item.payload for item in found if isinstance(item, Outcome)]


async def all_waiting(client: Client, ids: Sequence[InvocationId]) -> list[Waiter]:
    """Return one waiter for each of `ids`, all of which wait."""
    waiters = [Waiter(client, [each]) for each in ids]
    await asyncio.gather(*(waiter.begin() for waiter in waiters))
    return waiters


async def wait_and_do(client: Client, ids: Sequence[InvocationId], do: Callable[[], object]) -> list[bytes]:
    """Wait for each of `ids` in a coroutine of its own, `do` something once all do, and return the results in order."""
    waiters = await all_waiting(client, ids)
    do()
    return [each for results in await asyncio.gather(*(waiter.results() for waiter in waiters)) for each in results]


class OnThread:
    """An event loop that runs a coroutine in a thread of its own."""

    def __init__(self, main: Callable[[], Awaitable[list[bytes]]]) -> None:
        self.results: list[bytes] | BaseException = []
        self._main = main
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        async def main() -> list[bytes]:
            return await self._main()

        try:
            self.results = asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            self.results = error

    def join(self) -> list[bytes] | BaseException:
        self._thread.join(PATIENCE_S)
        return self.results


def threads() -> set[str]:
    """Return the names of the threads of this process."""
    return {thread.name for thread in threading.enumerate()}


def descriptors() -> set[str]:
    """Return what this process has open, by number and kind."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{each.name} {os.readlink(each)}")
        except FileNotFoundError:
            continue
    return found
