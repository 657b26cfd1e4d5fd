"""One run of a body: in a thread, or as a coroutine."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec

from pynenc.errors import RunnerStopped
from pynenc.io import perform_apart
from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import Cancelled, Claim, Completion, Crash, ProgressNote, Release, Suspend
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.executor import Noted, Observation
from pynenc.ports.run_link import RunLink, WaitReply
from pynenc.ports.stopping import Seen, StopReason
from pynenc.runners.interruption import CancelRequested, CpuTimeIsUp, Interruptible, Superseded, TimeIsUp
from pynenc.runners.mailbox import Outbox
from pynenc.runners.outcome_waits import OutcomeWaits, SlotLender

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

_INTERRUPTIONS: dict[StopReason | None, type[BaseException]] = {
    StopReason.CANCEL: CancelRequested,
    StopReason.TIMEOUT: TimeIsUp,
    StopReason.CPU_TIME: CpuTimeIsUp,
    None: Superseded,
}


class BodyHost(SlotLender, Protocol):
    """What a body needs of the executor it runs in."""

    runner_name: str
    execution: AttemptExecution
    outbox: Outbox
    clock: Callable[[], float]

    def park(self, suspend: Suspend) -> None:
        """Lend the slot and announce the wait."""

    def goes_on(self, claim: Claim) -> None:
        """Note that the body of `claim` has its slot again."""


class Parking:
    """Where the thread of a body stands while the whole of it waits."""

    __slots__ = ("_bell", "_left")

    def __init__(self) -> None:
        self._bell = threading.Lock()
        self._bell.acquire()
        self._left = False

    def stand(self) -> None:
        """Block until `leave` is called."""
        self._bell.acquire()

    def leave(self) -> bool:
        """Let the thread go on with the slot that is offered; False: it has one already.

        A body that is resumed and abandoned at one moment is offered two. Calls never overlap: the pool makes
        them under its lock.
        """
        if self._left:
            return False
        self._left = True
        self._bell.release()
        return True


class Body(RunLink):
    """What both kinds share: identity, stopping, progress, waits of branches."""

    def __init__(self, claim: Claim, host: BodyHost, worker: int) -> None:
        self.claim = claim
        self.worker = worker
        self.runner_name = host.runner_name
        self.began_s = host.clock()
        self.abandoned = False
        self._host = host
        self._stop: StopReason | None = None
        self._waits: OutcomeWaits | None = None

    @property
    def stopping(self) -> StopReason | None:
        return self._stop

    def report(self, body: bytes) -> None:
        claim = self.claim
        self._host.outbox.put(Noted(ProgressNote(claim.invocation_id, claim.epoch, body)))

    def stop(self, why: StopReason) -> None:
        """Ask the body to end for this reason. The first one counts."""
        if self._stop is None:
            self._stop = why
            self._interrupt(_INTERRUPTIONS[why])

    def abandon(self) -> None:
        """Make the body end without anybody hearing of it."""
        self.abandoned = True
        self._interrupt(Superseded)

    def go_on(self, reply: WaitReply) -> None:
        """End the wait of the body."""
        raise NotImplementedError

    def observe(self, observation: Observation) -> None:
        """Hand over outcomes that branches of the body wait for."""
        if self._waits is not None:
            self._waits.observe(observation)

    def _interrupt(self, error: type[BaseException]) -> None:
        raise NotImplementedError

    async def await_(self, waits: Sequence[InvocationId], *, need: int, timeout_us: int | None) -> WaitReply:
        import asyncio

        if self.abandoned:
            raise Superseded
        loop = asyncio.get_running_loop()
        there = asyncio.Event()

        def deliver() -> None:
            try:
                loop.call_soon_threadsafe(there.set)
            except RuntimeError:
                # The loop has ended, and with it everybody who waited.
                pass

        branches = self._branches()
        wish = branches.begin(waits, need, deliver)
        timed_out = False
        try:
            async with asyncio.timeout(None if timeout_us is None else timeout_us / 1e6):
                await there.wait()
        except TimeoutError:
            timed_out = True
        finally:
            branches.end(wish)
        self._host.goes_on(self.claim)
        return wish.reply(timed_out=timed_out)

    def _wait_in_branch(self, waits: Sequence[InvocationId], need: int, timeout_us: int | None) -> WaitReply:
        """Wait in a thread that the body started itself: the rest of it may go on."""
        there = threading.Event()
        branches = self._branches()
        wish = branches.begin(waits, need, there.set)
        try:
            arrived = there.wait(None if timeout_us is None else timeout_us / 1e6)
        finally:
            branches.end(wish)
        return wish.reply(timed_out=not arrived)

    def _branches(self) -> OutcomeWaits:
        if self._waits is None:
            self._waits = OutcomeWaits(self.claim.invocation_id, self.claim.epoch, self._host)
        return self._waits

    def _holds_slot(self) -> bool:
        """End the waits of branches that outlive the body; return whether it has its slot."""
        return self._waits is None or self._waits.close()

    def _timed(self, completion: Completion) -> Completion:
        """Note on a fresh completion how long the body ran, and where."""
        ran_us = int((self._host.clock() - self.began_s) * 1e6)
        msgspec.structs.force_setattr(completion, "ran_us", ran_us)
        msgspec.structs.force_setattr(completion, "worker", self.worker)
        return completion

    def _interrupted(self, error: BaseException) -> Completion:
        """Return what follows when `error` left the execution itself: an interruption, or a defect."""
        invocation_id, epoch = self.claim.invocation_id, self.claim.epoch
        if self._stop in (StopReason.TIMEOUT, StopReason.CPU_TIME):
            return self._host.execution.stopped(self.claim, self._stop, Seen(how="it was interrupted"))
        if self._stop is StopReason.CANCEL:
            return Cancelled(invocation_id=invocation_id, epoch=epoch, detail=str(CancelRequested()))
        if isinstance(error, RunnerStopped):
            return Release(invocation_id=invocation_id, epoch=epoch, detail=str(error))
        logger.error("running %s failed outside of its body", id_text(invocation_id), exc_info=error)
        return Crash(invocation_id=invocation_id, epoch=epoch, detail=repr(error))


class ThreadBody(Body):
    """A run in a thread of its own for as long as it lasts."""

    def __init__(self, claim: Claim, host: BodyHost, worker: int) -> None:
        super().__init__(claim, host, worker)
        self._interruptible = Interruptible()
        self._parking: Parking | None = None
        self._reply = WaitReply()
        self._thread_id = threading.get_ident()

    def run(self) -> tuple[Completion, bool]:
        """Run the body here; return what came of it and whether it holds its slot."""
        perform_apart(self._interruptible.apart)
        try:
            try:
                self._interruptible.open()
                completion = contextvars.Context().run(self._host.execution.run, self.claim, self)
            finally:
                self._interruptible.shut()
        except BaseException as error:  # noqa: BLE001 - interruptions reach the last line before `shut`
            self._interruptible.shut()
            completion = self._interrupted(error)
        perform_apart(None)
        return self._timed(completion), self._holds_slot()

    def report(self, body: bytes) -> None:
        if threading.get_ident() != self._thread_id:
            super().report(body)
        else:
            # What others have ended with may be on its way together with it.
            self._interruptible.apart(partial(super().report, body))

    def wait(self, waits: Sequence[InvocationId], *, need: int, timeout_us: int | None) -> WaitReply:
        if threading.get_ident() != self._thread_id:
            return self._wait_in_branch(waits, need, timeout_us)
        missed = self._interruptible.shut()
        if missed is not None:
            self._interruptible.open()
            raise missed
        claim = self.claim
        suspend = Suspend(
            invocation_id=claim.invocation_id,
            epoch=claim.epoch,
            waits=tuple(waits),
            need=need,
            timeout_us=timeout_us,
            ran_us=int((self._host.clock() - self.began_s) * 1e6),
            worker=self.worker,
        )
        parking = self._parking = Parking()
        if not self.abandoned:
            self._host.park(suspend)
            parking.stand()
            self._host.goes_on(claim)
        self._parking = None
        # Raises what came while the body was parked.
        self._interruptible.open()
        return self._reply

    def go_on(self, reply: WaitReply) -> None:
        self._reply = reply
        self._wake()

    def _interrupt(self, error: type[BaseException]) -> None:
        self._interruptible.interrupt(error)
        if self.abandoned:
            self._wake()

    def _wake(self) -> None:
        parking = self._parking
        if parking is not None:
            self._host.reclaim(parking.leave)


class CoroutineBody(Body):
    """A run as a coroutine of an event loop, which may be that of a single thread body."""

    def __init__(self, claim: Claim, host: BodyHost, worker: int) -> None:
        super().__init__(claim, host, worker)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Completion] | None = None
        self._thread_id = 0

    async def arun(self) -> tuple[Completion, bool]:
        """Run the body on the running loop; return what came of it and whether it holds its slot."""
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        context = contextvars.Context()
        self._task = self._loop.create_task(self._host.execution.arun(self.claim, self), context=context)
        if self._stop is not None or self.abandoned:
            self._task.cancel()
        try:
            completion = await self._task
        except BaseException as error:  # noqa: BLE001 - cancelled by us, or a defect
            completion = self._interrupted(Superseded() if self.abandoned else error)
        return self._timed(completion), self._holds_slot()

    def run(self) -> tuple[Completion, bool]:
        """Run the body on a loop of its own in the calling thread."""
        import asyncio

        done: list[tuple[Completion, bool]] = []

        async def main() -> None:
            done.append(await self.arun())

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - what the body left behind on the loop must not end the thread
            if not done:
                return self._timed(self._interrupted(error)), self._holds_slot()
            logger.warning("clearing up after %s failed: %r", id_text(self.claim.invocation_id), error)
        return done[0]

    def wait(self, waits: Sequence[InvocationId], *, need: int, timeout_us: int | None) -> WaitReply:
        if threading.get_ident() == self._thread_id:
            raise RuntimeError(
                "an async task cannot block for another invocation: its event loop would stand still; "
                "await the invocation instead"
            )
        return self._wait_in_branch(waits, need, timeout_us)

    def go_on(self, reply: WaitReply) -> None:
        """Coroutines are never suspended as a whole."""

    def _interrupt(self, error: type[BaseException]) -> None:
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                # The loop has ended by itself.
                pass
