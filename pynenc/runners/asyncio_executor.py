"""Running coroutines on one event loop, which has a thread of its own: no body can starve the control loop.

A coroutine that awaits others lends its slot and gets one back before new work begins. Bodies that are no coroutines
run in a few threads beside the loop and use the same slots.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Claim, Completion, Suspend
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.executor import (
    Began,
    Executor,
    ExecutorEvent,
    Finished,
    Observation,
    Resumption,
    Returned,
    StopReason,
    WatchWanted,
)
from pynenc.runners.body import BodyHost, CoroutineBody
from pynenc.runners.mailbox import Mailbox, Outbox
from pynenc.runners.now_running import NowRunning
from pynenc.runners.thread_executor import ThreadExecutor

Key = tuple[InvocationId, Epoch]

_SYNC_THREADS = 8


class AsyncioExecutor(Executor, BodyHost):
    """Up to `slots` coroutines at a time.

    Args:
        execution: runs a claim.
        slots: coroutines that run at a time; those that await other invocations do not count.
        runner_name: for people.
        clock: the clock of the control loop.
        threads: bodies that are no coroutines and run at a time.
        outbox: where events go; None: to `poll`.
        worker: what completions name as worker; None: 1 for coroutines, the number of the thread for others.
        now_running: is told which bodies run.
    """

    def __init__(
        self,
        execution: AttemptExecution,
        *,
        slots: int,
        runner_name: str,
        clock: Callable[[], float] = time.monotonic,
        threads: int = _SYNC_THREADS,
        outbox: Outbox | None = None,
        worker: int | None = None,
        now_running: NowRunning | None = None,
    ) -> None:
        self.execution = execution
        self.slots = slots
        self.runner_name = runner_name
        self.clock = clock
        self._mailbox = Mailbox()
        self.outbox: Outbox = outbox or self._mailbox
        self._worker = worker
        self._now_running = now_running
        self._lock = threading.Lock()
        self._used = 0
        """Slots held by coroutines."""
        self._waiting: deque[tuple[Claim, float]] = deque()
        self._reclaiming: deque[Callable[[], bool]] = deque()
        self._bodies: dict[Key, CoroutineBody] = {}
        self._unannounced: dict[Key, CoroutineBody] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=runner_name, daemon=True)
        self._resting = False
        self._threads = ThreadExecutor(
            execution,
            slots=threads,
            runner_name=runner_name,
            clock=clock,
            outbox=self.outbox,
            worker=worker,
            now_running=now_running,
        )

    # --- Executor ---

    def start(self) -> None:
        self._thread.start()

    def fileno(self) -> int:
        return self._mailbox.fileno()

    def poll(self) -> Sequence[ExecutorEvent]:
        with self._lock:
            bodies, self._unannounced = self._unannounced, {}
        began = [Began(*key, body.worker, body.began_s) for key, body in bodies.items()]
        return [*began, *self._threads.announce(), *self._mailbox.take()]

    def due_at_s(self) -> float | None:
        return None

    def spare(self) -> int:
        in_threads = self._threads.slots - self._threads.spare()
        return self.slots - self._used - len(self._waiting) - in_threads

    def run(self, claims: Sequence[Claim]) -> None:
        now_s = self.clock()
        in_threads = [claim for claim in claims if not self.execution.is_async(claim)]
        if in_threads:
            self._threads.run(in_threads)
        if len(in_threads) == len(claims):
            return
        with self._lock:
            self._waiting.extend((claim, now_s) for claim in claims if claim not in in_threads)
            begin = self._take_startable()
        self._begin(begin)

    def resume(self, resumptions: Sequence[Resumption]) -> None:
        self._threads.resume(resumptions)

    def observe(self, observations: Sequence[Observation]) -> None:
        for item in observations:
            body = self._bodies.get((item.invocation_id, item.epoch))
            if body is not None:
                body.observe(item)
        self._threads.observe(observations)

    def stop(self, invocation_id: InvocationId, epoch: Epoch, why: StopReason, grace_s: float) -> None:
        key = (invocation_id, epoch)
        body = self._bodies.get(key)
        if body is not None:
            body.stop(why)
        elif self._unqueue(lambda claim, _: (claim.invocation_id, claim.epoch) == key):
            self.outbox.put(Finished.unbegun(*key))
        else:
            self._threads.stop(invocation_id, epoch, why, grace_s)

    def abandon(self, runs: Iterable[Key]) -> None:
        gone = set(runs)
        self._unqueue(lambda claim, _: (claim.invocation_id, claim.epoch) in gone)
        for key in gone:
            body = self._bodies.get(key)
            if body is not None:
                body.abandon()
        self._threads.abandon(gone)

    def recall(self, *, older_than_s: float) -> int:
        oldest_s = self.clock() - older_than_s
        back = self._unqueue(lambda _, since_s: since_s <= oldest_s)
        for claim in back:
            self.outbox.put(Returned(claim.invocation_id, claim.epoch, "claimed ahead and not started"))
        return len(back) + self._threads.recall(older_than_s=older_than_s)

    def close(self, grace_s: float) -> None:
        """Cancel what still runs and end the loop; a coroutine that does not obey keeps only its daemon thread."""
        self._threads.close(grace_s)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._cancel_everything)
            self._thread.join(max(1.0, grace_s))
        else:
            # It never ran, or has closed by itself.
            self._loop.close()
        self._mailbox.close()

    # --- the loop ---

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _cancel_everything(self) -> None:
        for task in self._tasks:
            task.cancel()
        ending = asyncio.gather(*self._tasks, return_exceptions=True)
        ending.add_done_callback(lambda _: self._loop.stop())

    def _begin(self, claims: Sequence[Claim]) -> None:
        """Let coroutines begin that got their slots."""
        if not claims:
            return
        bodies = [CoroutineBody(claim, self, worker=self._worker or 1) for claim in claims]
        with self._lock:
            # From here on they can be stopped, whether the loop has come to them or not.
            for body in bodies:
                key = (body.claim.invocation_id, body.claim.epoch)
                self._bodies[key] = self._unannounced[key] = body
        self._loop.call_soon_threadsafe(self._create_tasks, bodies)

    def _create_tasks(self, bodies: Sequence[CoroutineBody]) -> None:
        for body in bodies:
            task = self._loop.create_task(self._perform(body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _perform(self, body: CoroutineBody) -> None:
        self.goes_on(body.claim)
        completion, held = await body.arun()
        self._over((body.claim.invocation_id, body.claim.epoch), body, completion, held)

    def _over(self, key: Key, body: CoroutineBody, completion: Completion, held: bool) -> None:
        with self._lock:
            self._bodies.pop(key, None)
            self._unannounced.pop(key, None)
            if held:
                self._used -= 1
        if self._now_running is not None:
            self._now_running.clear(*key)
        if not body.abandoned:
            self.outbox.put(Finished(completion))
        self._fill_slots()
        if not self._resting:
            # Behind the coroutines that end in this round of the loop.
            self._resting = True
            self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        self._resting = False
        self.outbox.rest()

    # --- slots ---

    def park(self, suspend: Suspend) -> None:
        raise AssertionError("coroutines are never suspended as a whole")

    def goes_on(self, claim: Claim) -> None:
        if self._now_running is not None:
            self._now_running.note(claim.invocation_id, claim.epoch)

    def watch(self, invocation_id: InvocationId, epoch: Epoch, waits: tuple[InvocationId, ...]) -> None:
        self.outbox.put(WatchWanted(invocation_id, epoch, waits))
        self.outbox.rest()

    def lend(self) -> None:
        with self._lock:
            self._used -= 1
        self._fill_slots()
        # The control loop learns that a slot is free for new work.
        self.outbox.nudge()

    def reclaim(self, go: Callable[[], bool]) -> None:
        with self._lock:
            self._reclaiming.append(go)
        self._fill_slots()

    def _fill_slots(self) -> None:
        """Give free slots to those that lent theirs, then to new work."""
        while True:
            with self._lock:
                if self._used >= self.slots or not self._reclaiming:
                    break
                go = self._reclaiming.popleft()
                self._used += 1
            if not go():
                with self._lock:
                    self._used -= 1
        with self._lock:
            begin = self._take_startable()
        self._begin(begin)

    def _take_startable(self) -> list[Claim]:
        """Take claims that have a slot from the queue; the caller holds the lock."""
        begin: list[Claim] = []
        while self._waiting and self._used < self.slots and not self._reclaiming:
            begin.append(self._waiting.popleft()[0])
            self._used += 1
        return begin

    def _unqueue(self, wanted: Callable[[Claim, float], bool]) -> list[Claim]:
        with self._lock:
            taken = [each for each in self._waiting if wanted(*each)]
            self._waiting = deque(each for each in self._waiting if each not in taken)
        return [claim for claim, _ in taken]
