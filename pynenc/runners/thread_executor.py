"""Running bodies in threads of this process.

States of a run here: queued -> running <-> parked -> over. `_live` counts those that hold or want a slot: queued,
running, resumed; `spare` follows from it. It changes together with the event that tells of the change, not when a
thread gets round to it, so the control loop never sees a slot that is free without being told, nor one that is told but
not free.

Nothing here survives the process; the lease does the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.policies import has_cpu_limit
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
    WaitWanted,
    WatchWanted,
)
from pynenc.runners.body import Body, BodyHost, CoroutineBody, ThreadBody
from pynenc.runners.body_threads import BodyThreads
from pynenc.runners.mailbox import Mailbox, Outbox
from pynenc.runners.now_running import NowRunning

_Queued = tuple[Claim, float]


class ThreadExecutor(Executor, BodyHost):
    """Up to `slots` bodies at a time, each in a thread; waiting ones keep theirs and do not count.

    Asynchronous bodies get an event loop of their own in their thread.

    Args:
        execution: runs a claim.
        slots: bodies that run at a time.
        runner_name: for people.
        clock: the clock of the control loop.
        outbox: where events go; None: to `poll`.
        worker: what completions name as worker; None: the number of the thread.
        now_running: is told which bodies run.
        kept: threads that stay when there is nothing to do; None: one for each slot.
    """

    def __init__(
        self,
        execution: AttemptExecution,
        *,
        slots: int,
        runner_name: str,
        clock: Callable[[], float] = time.monotonic,
        outbox: Outbox | None = None,
        worker: int | None = None,
        now_running: NowRunning | None = None,
        kept: int | None = None,
    ) -> None:
        self.execution = execution
        self.slots = slots
        self.runner_name = runner_name
        self.clock = clock
        self._mailbox = Mailbox()
        self.outbox: Outbox = outbox or self._mailbox
        self._worker = worker
        self._now_running = now_running
        self._numbers = threading.local()
        self._numbered = 0
        self._lock = threading.Lock()
        self._live = 0
        self._bodies: dict[InvocationId, Body] = {}
        self._unannounced: dict[InvocationId, Body] = {}
        self._pool: BodyThreads[_Queued] = BodyThreads(
            slots, self._perform, before_rest=self.outbox.rest, name=runner_name, kept=kept
        )

    # --- Executor ---

    def start(self) -> None:
        """Threads start when there is something to do."""

    def fileno(self) -> int:
        return self._mailbox.fileno()

    def poll(self) -> Sequence[ExecutorEvent]:
        return [*self.announce(), *self._mailbox.take()]

    def announce(self) -> list[ExecutorEvent]:
        """Return a `Began` for each body that runs and was not announced yet."""
        if not self._unannounced:
            return []
        with self._lock:
            bodies, self._unannounced = self._unannounced, {}
        return [
            Began(body.claim.invocation_id, body.claim.epoch, body.worker, body.began_s) for body in bodies.values()
        ]

    def more_follow(self) -> bool:
        """Whether a thread that ends its body now goes on with another one."""
        return self._pool.pending

    def due_at_s(self) -> float | None:
        return None

    def spare(self) -> int:
        return self.slots - self._live

    def run(self, claims: Sequence[Claim]) -> None:
        now_s = self.clock()
        self._count(len(claims))
        self._pool.put((claim, now_s) for claim in claims)

    def resume(self, resumptions: Sequence[Resumption]) -> None:
        for item in resumptions:
            body = self._body(item.invocation_id, item.epoch)
            if body is not None:
                body.go_on(item.reply)

    def observe(self, observations: Sequence[Observation]) -> None:
        for item in observations:
            body = self._body(item.invocation_id, item.epoch)
            if body is not None:
                body.observe(item)

    def stop(self, invocation_id: InvocationId, epoch: Epoch, why: StopReason, grace_s: float) -> None:
        body = self._body(invocation_id, epoch)
        if body is not None:
            body.stop(why)
        elif self._unqueue({(invocation_id, epoch)}):
            self.outbox.put(Finished.unbegun(invocation_id, epoch))

    def abandon(self, runs: Iterable[tuple[InvocationId, Epoch]]) -> None:
        gone = set(runs)
        self._unqueue(gone)
        for invocation_id, epoch in gone:
            body = self._body(invocation_id, epoch)
            if body is not None:
                body.abandon()

    def recall(self, *, older_than_s: float) -> int:
        oldest_s = self.clock() - older_than_s
        taken = self._pool.take_back(lambda queued: queued[1] <= oldest_s)
        self._count(-len(taken))
        for claim, _ in taken:
            self.outbox.put(Returned(claim.invocation_id, claim.epoch, "claimed ahead and not started"))
        return len(taken)

    def close(self, grace_s: float) -> None:
        """End idle threads. A body that goes on in spite of its interruption keeps its thread; its process may end."""
        self._pool.close()
        self._mailbox.close()

    # --- BodyHost ---

    def park(self, suspend: Suspend) -> None:
        self._stands(suspend.invocation_id, suspend.epoch)
        self._pool.lend()
        self._count(-1)
        self.outbox.put(WaitWanted(suspend))
        self.outbox.rest()

    def watch(self, invocation_id: InvocationId, epoch: Epoch, waits: tuple[InvocationId, ...]) -> None:
        self.outbox.put(WatchWanted(invocation_id, epoch, waits))
        self.outbox.rest()

    def lend(self) -> None:
        self._pool.lend()
        self._count(-1)
        # The event that told of the wait came before the slot was free.
        self.outbox.nudge()

    def reclaim(self, go: Callable[[], bool]) -> None:
        self._count(1)

        def offered() -> bool:
            taken = go()
            if not taken:
                self._count(-1)
                self.outbox.nudge()
            return taken

        self._pool.reclaim(offered)

    def goes_on(self, claim: Claim) -> None:
        if self._now_running is not None:
            self._now_running.note(claim.invocation_id, claim.epoch)

    def _stands(self, invocation_id: InvocationId, epoch: Epoch) -> None:
        if self._now_running is not None:
            self._now_running.clear(invocation_id, epoch)

    # --- bodies ---

    def _perform(self, queued: _Queued) -> bool:
        claim = queued[0]
        kind = CoroutineBody if self.execution.is_async(claim) else ThreadBody
        body = kind(claim, self, self._number())
        self.goes_on(claim)
        if self._now_running is not None and has_cpu_limit(claim.policy):
            # In a worker process: the runner looks at what this thread uses.
            thread = threading.get_native_id()
            self.outbox.put(Began(claim.invocation_id, claim.epoch, body.worker, body.began_s, thread))
        with self._lock:
            self._bodies[claim.invocation_id] = self._unannounced[claim.invocation_id] = body
        completion, held = body.run()
        self._over(body, completion, held)
        return held

    def _over(self, body: Body, completion: Completion, held: bool) -> None:
        invocation_id = body.claim.invocation_id
        self._stands(invocation_id, body.claim.epoch)
        with self._lock:
            # A newer claim of the same invocation may run already if this one was superseded.
            if self._bodies.get(invocation_id) is body:
                del self._bodies[invocation_id]
            if self._unannounced.get(invocation_id) is body:
                del self._unannounced[invocation_id]
            if held:
                self._live -= 1
        if not body.abandoned:
            self.outbox.put(Finished(completion))

    def _number(self) -> int:
        if self._worker is not None:
            return self._worker
        number: int | None = getattr(self._numbers, "number", None)
        if number is None:
            with self._lock:
                self._numbered += 1
                number = self._numbers.number = self._numbered
        return number

    def _body(self, invocation_id: InvocationId, epoch: Epoch) -> Body | None:
        body = self._bodies.get(invocation_id)
        return body if body is not None and body.claim.epoch == epoch else None

    def _unqueue(self, runs: set[tuple[InvocationId, Epoch]]) -> int:
        taken = self._pool.take_back(lambda queued: (queued[0].invocation_id, queued[0].epoch) in runs)
        self._count(-len(taken))
        return len(taken)

    def _count(self, change: int) -> None:
        with self._lock:
            self._live += change
