"""An executor whose bodies are programs running in virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Protocol

from pynenc.errors import StoreUnavailable
from pynenc.io import Op
from pynenc.model.ids import Epoch, InvocationId, child_invocation_id
from pynenc.model.policies import decode_policy
from pynenc.model.records import (
    Cancelled,
    Claim,
    Completion,
    Crash,
    Failure,
    Fence,
    ProgressNote,
    Retry,
    Submission,
    SubmitVerdict,
    Success,
    Suspend,
)
from pynenc.model.status import Reason
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
)
from pynenc.ports.scheduler import Rank, RankContext
from pynenc.scheduling.fifo import FifoScheduler
from pynenc.testing.simulation.history import Execution
from pynenc.testing.simulation.link import Link, Park, Sleep
from pynenc.testing.simulation.programs import Ending, Note, Program, Spawn, Step, Take, WaitFor
from pynenc.testing.simulation.world import Process, Signal, Thread

RunKey = tuple[InvocationId, Epoch]


class Host(Protocol):
    """What an executor needs of the simulator."""

    def start(self, thread: Thread) -> None:
        """Carry out a thread."""

    def wake(self, thread: Thread, value: object = None) -> None:
        """Answer the `Park` or `Sleep` a thread is in."""

    def later(self, process: Process, delay_us: int, action: Callable[[], None]) -> None:
        """Call `action` in `process`, unless it is dead by then."""

    def store_us(self) -> int:
        """Return the store's time."""


class _Body:
    __slots__ = ("abandoned", "claim", "execution", "interruptible", "parked", "since_s", "stopping", "thread", "waits")

    def __init__(self, claim: Claim, since_s: float) -> None:
        self.claim = claim
        self.since_s = since_s
        self.thread: Thread | None = None
        self.execution: Execution | None = None
        self.parked = False
        self.waits: tuple[InvocationId, ...] = ()
        self.interruptible = False
        self.stopping: StopReason | None = None
        self.abandoned = False


class SimulatedExecutor(Executor):
    """Runs programs in `slots` slots of one process.

    Args:
        children_first: whether children rank before their parents.
        by_force: whether bodies that do not end when asked can be killed, as in worker processes.
        records: where executions are noted.
    """

    def __init__(
        self,
        host: Host,
        process: Process,
        link: Link,
        programs: Sequence[Program],
        rng: Random,
        records: list[Execution],
        *,
        slots: int,
        by_force: bool,
        children_first: bool,
        number: int,
    ) -> None:
        self.slots = slots
        self.signal = Signal()
        self._host = host
        self._process = process
        self._link = link
        self._programs = programs
        self._rng = rng
        self._records = records
        self._by_force = by_force
        self._children_first = children_first
        self._number = number
        self._bodies: dict[RunKey, _Body] = {}
        self._queued: deque[_Body] = deque()
        self._resuming: deque[tuple[_Body, object]] = deque()
        self._busy: list[_Body] = []
        self._events: list[ExecutorEvent] = []
        self._closed = False
        self.given = 0
        """How many claims it was given."""
        self.most_parked = 0
        """So many bodies waited at a time, at most."""

    # --- the port ---

    def start(self) -> None:
        """Nothing to bring up."""

    def fileno(self) -> int:
        return self._number

    def poll(self) -> Sequence[ExecutorEvent]:
        events, self._events = self._events, []
        self.signal.is_set = False
        return events

    def due_at_s(self) -> float | None:
        return None

    def spare(self) -> int:
        return self.slots - len(self._busy) - len(self._queued) - len(self._resuming)

    @property
    def parked(self) -> int:
        """How many bodies wait."""
        return sum(body.parked for body in self._bodies.values())

    @property
    def awaited(self) -> list[tuple[InvocationId, ...]]:
        """What each of them waits for."""
        return [body.waits for body in self._bodies.values() if body.parked]

    def run(self, claims: Sequence[Claim]) -> None:
        self.given += len(claims)
        for claim in claims:
            body = _Body(claim, self._process.clock_s())
            self._bodies[(claim.invocation_id, claim.epoch)] = body
            self._queued.append(body)
        self._fill()

    def resume(self, resumptions: Sequence[Resumption]) -> None:
        for item in resumptions:
            body = self._bodies.get((item.invocation_id, item.epoch))
            if body is not None and body.parked:
                body.parked = False
                self._resuming.append((body, item.reply))
        self._fill()

    def observe(self, observations: Sequence[Observation]) -> None:
        """No simulated body watches without suspending."""

    def stop(self, invocation_id: InvocationId, epoch: Epoch, why: StopReason, grace_s: float) -> None:
        body = self._bodies.get((invocation_id, epoch))
        if body is None or body.abandoned:
            return
        body.stopping = why
        if body in self._queued:
            self._queued.remove(body)
            self._end(body, self._stopped(body))
        elif body.parked or self._program(body).obeys:
            if body.parked or body.interruptible:
                self._wake(body)
        elif self._by_force:
            self._host.later(self._process, int(grace_s * 1e6), lambda: self._kill(body, self._stopped(body)))

    def abandon(self, runs: Iterable[RunKey]) -> None:
        for key in runs:
            body = self._bodies.pop(key, None)
            if body is None:
                continue
            body.abandoned = True
            if body in self._queued:
                self._queued.remove(body)
            elif body not in self._busy or self._rng.random() < 0.5:
                self._drop(body)
            # Else it goes on as a zombie: a thread cannot be killed.
        self._fill()

    def recall(self, *, older_than_s: float) -> int:
        youngest_s = self._process.clock_s() - older_than_s
        coming_back = [body for body in self._queued if body.since_s <= youngest_s]
        for body in coming_back:
            self._queued.remove(body)
            del self._bodies[(body.claim.invocation_id, body.claim.epoch)]
            self._tell(Returned(body.claim.invocation_id, body.claim.epoch, "recalled"))
        return len(coming_back)

    def close(self, grace_s: float) -> None:
        self._closed = True
        for body in list(self._bodies.values()):
            self._drop(body)

    # --- faults ---

    def crash_worker(self) -> None:
        """Let the worker of one body die."""
        begun = [body for body in self._bodies.values() if body.thread is not None]
        if not begun or self._closed:
            return
        body = self._rng.choice(begun)
        claim = body.claim
        if body in self._busy:
            self._kill(body, Crash(invocation_id=claim.invocation_id, epoch=claim.epoch, detail="killed"))
        else:
            self._forget(body)
            self._tell(Lost(claim.invocation_id, claim.epoch, "killed"))

    # --- slots ---

    def _fill(self) -> None:
        while len(self._busy) < self.slots and not self._closed:
            if self._resuming:
                body, reply = self._resuming.popleft()
                self._busy.append(body)
                self._wake(body, reply)
            elif self._queued:
                self._begin(self._queued.popleft())
            else:
                return

    def _begin(self, body: _Body) -> None:
        claim = body.claim
        self._busy.append(body)
        body.execution = Execution(
            invocation_id=claim.invocation_id,
            session=claim.session,
            epoch=claim.epoch,
            attempt=claim.attempt,
            began_us=self._host.store_us(),
        )
        self._records.append(body.execution)
        if self._rng.random() < 0.7 or not _is_short(self._program(body)):
            self._tell(Began(claim.invocation_id, claim.epoch, 1, self._process.clock_s()))
        name = f"{self._process.name}/{claim.invocation_id.hex()[:12]}.{claim.epoch}"
        body.thread = Thread(
            self._process, name, self._body(body), lambda completion, error: self._over(body, completion, error)
        )
        self._host.start(body.thread)

    def _over(self, body: _Body, completion: Completion | None, error: BaseException | None) -> None:
        if error is not None:
            raise error
        assert completion is not None
        self._end(body, completion)

    def _end(self, body: _Body, completion: Completion) -> None:
        if body.execution is not None:
            body.execution.ended_us = self._host.store_us()
        self._forget(body)
        if not body.abandoned and not self._closed:
            if body.execution is not None:
                body.execution.sent = completion
            self._tell(Finished(completion))
        self._fill()

    def _kill(self, body: _Body, completion: Completion) -> None:
        if body in self._busy:
            assert body.thread is not None
            body.thread.finished = True
            self._end(body, completion)

    def _drop(self, body: _Body) -> None:
        if body.thread is not None:
            body.thread.finished = True
        self._forget(body)

    def _forget(self, body: _Body) -> None:
        if body in self._busy:
            self._busy.remove(body)
        body.parked = False
        self._resuming = deque(item for item in self._resuming if item[0] is not body)
        if not body.abandoned:
            self._bodies.pop((body.claim.invocation_id, body.claim.epoch), None)
        if body.thread is not None:
            body.thread.finished = True

    def _tell(self, event: ExecutorEvent) -> None:
        if not self._closed:
            self._events.append(event)
            self.signal.set()

    def _wake(self, body: _Body, reply: object = None) -> None:
        assert body.thread is not None
        self._host.wake(body.thread, reply)

    # --- bodies ---

    def _program(self, body: _Body) -> Program:
        return self._programs[int(body.claim.arguments)]

    def _body(self, body: _Body) -> Op[Completion]:
        program = self._program(body)
        for number, step in enumerate(program.steps):
            if body.stopping is not None and program.obeys:
                break
            if not (yield from self._step(body, number, step)):
                break
        if body.stopping is not None and program.obeys:
            return self._stopped(body)
        return self._ending(body, program)

    def _step(self, body: _Body, number: int, step: Step) -> Op[bool]:
        """Carry out one step; False if the body has to unwind."""
        if isinstance(step, Take):
            body.interruptible = True
            yield Sleep(step.duration_us)
            body.interruptible = False
        elif isinstance(step, Note):
            claim = body.claim
            self._tell(Noted(ProgressNote(claim.invocation_id, claim.epoch, step.body)))
        elif isinstance(step, WaitFor):
            return (yield from self._wait(body, step.ids, step.need, step.timeout_us))
        else:
            return (yield from self._spawn(body, number, step))
        return True

    def _spawn(self, body: _Body, number: int, step: Spawn) -> Op[bool]:
        claim = body.claim
        rank = Rank(128, None)
        if self._children_first:
            context = RankContext(task_id="simulated", queue=claim.queue, now_us=0, parent_rank=claim.rank)
            rank = FifoScheduler().rank(context)
        items = [
            Submission(
                invocation_id=child_invocation_id(claim.invocation_id, claim.attempt, b"%d" % number, occurrence),
                task_id="simulated",
                arguments=b"%d" % program,
                queue=step.queue or claim.queue,
                band=rank.band,
                key=rank.key,
                delay_us=step.delay_us,
                parent=Fence(claim.session, claim.invocation_id, claim.epoch),
                gates=step.gates,
            )
            for occurrence, program in enumerate(step.programs)
        ]
        while True:
            try:
                replies = yield from self._link.submit(items)
            except StoreUnavailable:
                yield Sleep(self._rng.randint(1_000, 50_000))
            else:
                break
        if any(reply.verdict is SubmitVerdict.STALE_PARENT for reply in replies):
            return False
        if step.need is None:
            return True
        return (yield from self._wait(body, tuple(i.invocation_id for i in items), step.need, step.timeout_us))

    def _wait(self, body: _Body, waits: tuple[InvocationId, ...], need: int, timeout_us: int | None) -> Op[bool]:
        if body.abandoned or body.stopping is not None:
            return False
        claim = body.claim
        suspend = Suspend(
            invocation_id=claim.invocation_id, epoch=claim.epoch, waits=waits, need=need, timeout_us=timeout_us
        )
        body.parked = True
        body.waits = waits
        self.most_parked = max(self.most_parked, self.parked)
        self._busy.remove(body)
        self._tell(WaitWanted(suspend))
        self._fill()
        yield Park()
        body.parked = False
        return body.stopping is None

    def _stopped(self, body: _Body) -> Completion:
        claim = body.claim
        invocation_id, epoch = claim.invocation_id, claim.epoch
        if body.stopping is StopReason.CANCEL:
            return Cancelled(invocation_id=invocation_id, epoch=epoch, detail="as asked")
        policy = decode_policy(claim.policy)
        if policy.retry_on_timeout and claim.attempt <= policy.max_retries:
            return Retry(invocation_id=invocation_id, epoch=epoch, error=b"timeout", reason=Reason.TIMED_OUT)
        return Failure(invocation_id=invocation_id, epoch=epoch, error=b"timeout")

    def _ending(self, body: _Body, program: Program) -> Completion:
        claim = body.claim
        invocation_id, epoch = claim.invocation_id, claim.epoch
        mark = b"%s by %d.%d" % (invocation_id.hex().encode(), claim.session, epoch)
        if claim.attempt <= program.failures:
            return Retry(invocation_id=invocation_id, epoch=epoch, error=mark, delay_us=program.retry_delay_us)
        if program.ending is Ending.RAISE:
            return Failure(invocation_id=invocation_id, epoch=epoch, error=mark)
        if program.ending is Ending.CANCEL:
            return Cancelled(invocation_id=invocation_id, epoch=epoch, detail="of its own")
        return Success(invocation_id=invocation_id, epoch=epoch, result=mark, ran_us=1_000)


def _is_short(program: Program) -> bool:
    """Whether a body ends so soon that its beginning may go unreported."""
    return all(
        isinstance(step, Note) or (isinstance(step, Take) and step.duration_us < 5_000) for step in program.steps
    )
