"""Running bodies in persistent worker processes.

States of a claim here: backlog (`Dispatcher`) -> sent -> running <-> parked -> over. States of a worker
(`WorkerFleet`): starting -> ready -> gone, and replaced; a spare is ready before it is wanted. Crash points:
* a worker dies: its socket closes at once. `endings_of` says what becomes of what it had.
* a worker cannot load the app: it says why before it ends; replacements come ever slower.
* this process dies: the workers' sockets close and they end; the lease does the rest.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import structs

from pynenc.core.loading import AppReference
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Claim, Completion, Failure, ProgressNote, Suspend
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.executor import (
    Began,
    Executor,
    ExecutorEvent,
    Finished,
    Noted,
    Observation,
    Resumption,
    Returned,
    StopReason,
    WaitWanted,
    WatchWanted,
)
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners.dispatcher import Dispatcher
from pynenc.runners.limit_keeper import LimitKeeper, force
from pynenc.runners.scaling import Load, Scaling
from pynenc.runners.store_calls import StoreCalls
from pynenc.runners.worker_config import WorkerConfig, WorkerMode
from pynenc.runners.worker_endings import endings_of
from pynenc.runners.worker_fleet import WorkerFleet
from pynenc.runners.worker_limits import WorkerLimits
from pynenc.runners.worker_process import Key, SentRun, WorkerProcess
from pynenc.wire.frames import (
    PROTOCOL,
    Abandon,
    Cancel,
    Drain,
    Frame,
    FrameTooLarge,
    FrameType,
    Reply,
    Resume,
    Run,
    SuspendFrame,
    Welcome,
)

logger = logging.getLogger(__name__)

_TERM_TO_KILL_S = 1.0
_LIMIT_GRACE_S = 1.0
"""For a body to stop by itself that used up its processor time."""


class ProcessExecutor(Executor):
    """Bodies in worker processes: one at a time in each, or as many as `config` says.

    Args:
        execution: says what follows a body that had to be killed.
        orchestrator: performs what bodies submit.
        reference: how workers get the app.
        scaling: how many worker processes there are.
        config: what each of them is.
        runner_name: for people.
        spares: worker processes beyond those, which take the place of one that is gone.
        limits: of each worker process.
        clock: the clock of the control loop.
    """

    def __init__(
        self,
        execution: AttemptExecution,
        orchestrator: Orchestrator,
        reference: AppReference,
        *,
        scaling: Scaling,
        config: WorkerConfig,
        runner_name: str,
        spares: int = 0,
        limits: WorkerLimits = WorkerLimits(),  # noqa: B008 - a frozen value
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = scaling.size * config.slots
        self._scaling = scaling
        self._slots_each = config.slots
        self._execution = execution
        self._calls = StoreCalls(orchestrator)
        self._clock = clock
        welcome = Welcome(PROTOCOL, runner_name, msgspec.msgpack.encode(reference), config.as_frame())
        self._fleet = WorkerFleet(welcome, size=scaling.size, slots=config.slots, spares=spares, clock=clock)
        # Coroutines take nothing from each other while they wait: what a loop has no slot for goes elsewhere.
        ahead = config.mode is WorkerMode.THREADS
        self._dispatcher = Dispatcher(clock, slots=config.slots, ahead=ahead)
        self._keeper = LimitKeeper(limits, clock, self._stop_over_limit)
        self._owners: dict[Key, WorkerProcess] = {}
        self._recalled: set[Key] = set()
        """What is to go back to the store instead of to another worker."""
        self._events: list[ExecutorEvent] = []

    # --- Executor ---

    @property
    def most_slots(self) -> int:
        return self._scaling.most * self._slots_each

    def start(self) -> None:
        self._fleet.adjust()

    def fileno(self) -> int:
        return self._fleet.fileno()

    def poll(self) -> Sequence[ExecutorEvent]:
        died = False
        for worker, frames, alive in self._fleet.listen():
            for frame in frames:
                self._take(worker, frame)
            if not alive:
                self._died(worker)
                died = True
        self._calls.perform()
        for worker in self._dispatcher.blocked(self._fleet):
            self._take_back(worker)
        self._keeper.look(self._fleet)
        self._retire_for_age()
        self._retire_used_up()
        self._escalate()
        if died:
            # To start one takes longer than to tell the store of a death: that goes first, and others run its body.
            self._fleet.fill_in()
        else:
            self._adjust_workers()
        self._dispatch()
        events, self._events = self._events, []
        return events

    def due_at_s(self) -> float | None:
        moments = [run.kill_at_s for worker in self._fleet for run in worker.doomed.values() if run.kill_at_s]
        moments += [at_s for worker in self._fleet if (at_s := self._dispatcher.blocked_at_s(worker)) is not None]
        others = (
            self._fleet.due_at_s,
            self._scaling.due_at_s(),
            self._keeper.due_at_s,
            self._keeper.aging_at_s(self._fleet.everyone),
        )
        moments += [at_s for at_s in others if at_s is not None]
        if self._events:
            moments.append(self._clock())
        return min(moments, default=None)

    def is_up(self) -> bool:
        return any(worker.ready for worker in list(self._fleet))

    def spare(self) -> int:
        workers = sum(worker.ready and not worker.apart and not worker.retiring for worker in self._fleet)
        if self._fleet.is_up:
            # More come up for what is claimed for them.
            workers += self._scaling.room
        return workers * self._slots_each - len(self._dispatcher) - sum(worker.busy for worker in self._fleet)

    def run(self, claims: Sequence[Claim]) -> None:
        self._dispatcher.add(claims)
        self._dispatch()

    def resume(self, resumptions: Sequence[Resumption]) -> None:
        for item in resumptions:
            worker, run = self._find(item.invocation_id, item.epoch)
            if worker is None or run is None:
                continue
            worker.park(run, parked=False, now_s=self._clock())
            self._keeper.began(run)
            # It goes on before claims that have not begun: what was begun is finished first.
            reply = item.reply
            self._send_outcomes(
                worker,
                run,
                FrameType.RESUME,
                Resume(*run.key, reply.outcomes, reply.timed_out, reply.cycle, reply.unknown),
            )

    def observe(self, observations: Sequence[Observation]) -> None:
        for item in observations:
            worker, run = self._find(item.invocation_id, item.epoch)
            if worker is not None and run is not None:
                frame = Resume(*run.key, item.outcomes, cycle=item.cycle, unknown=item.unknown)
                self._send_outcomes(worker, run, FrameType.OBSERVE, frame)

    def stop(self, invocation_id: InvocationId, epoch: Epoch, why: StopReason, grace_s: float) -> None:
        worker, run = self._find(invocation_id, epoch)
        if worker is None or run is None:
            if self._dispatcher.drop({(invocation_id, epoch)}):
                self._events.append(Finished.unbegun(invocation_id, epoch))
            return
        if run.stopping is None:
            run.stopping = why.value
            if run.parked:
                run.left_s = grace_s
            elif run.began:
                worker.doom(run, self._clock() + grace_s)
        self._fleet.send(worker, FrameType.CANCEL, Cancel(invocation_id, epoch, why.value, int(grace_s * 1000)))

    def _stop_over_limit(self, run: SentRun, why: StopReason) -> None:
        self.stop(*run.key, why, _LIMIT_GRACE_S)

    def abandon(self, runs: Iterable[Key]) -> None:
        gone = set(runs)
        self._dispatcher.drop(gone)
        for key in gone:
            worker = self._owners.get(key)
            run = self._forget(worker, key) if worker is not None else None
            if worker is None or run is None:
                continue
            if run.began and not run.parked:
                # Nothing tells when a body that nobody asks about any more ends: its process ends now.
                worker.blameless = True
                worker.signal(signal.SIGKILL)
            else:
                self._fleet.send(worker, FrameType.ABANDON, Abandon((key,)))

    def recall(self, *, older_than_s: float) -> int:
        oldest_s = self._clock() - older_than_s
        returned = self._dispatcher.take_older(oldest_s)
        if older_than_s <= 0:
            returned += self._dispatcher.take_suspects()
        for claim in returned:
            self._events.append(Returned(claim.invocation_id, claim.epoch, "claimed ahead and not started"))
        coming = len(returned)
        for worker in self._fleet:
            unstarted = [run.key for run in worker.unbegun if run.since_s <= oldest_s]
            if unstarted:
                self._recalled.update(unstarted)
                self._take_back(worker)
                coming += len(unstarted)
        return coming

    def close(self, grace_s: float) -> None:
        """End the workers: asked first, killed after `grace_s`."""
        self._fleet.close(grace_s)

    # --- to workers ---

    def _find(self, invocation_id: InvocationId, epoch: Epoch) -> tuple[WorkerProcess | None, SentRun | None]:
        worker = self._owners.get((invocation_id, epoch))
        return worker, worker.runs.get((invocation_id, epoch)) if worker is not None else None

    def _dispatch(self) -> None:
        for worker, runs in self._dispatcher.share_out(self._fleet, self._keeper.room):
            for run in runs:
                worker.add(run)
                self._owners[run.key] = worker
            self._send_claims(worker, tuple(run.claim for run in runs))
            self._note_begin(worker)

    def _send_claims(self, worker: WorkerProcess, claims: tuple[Claim, ...]) -> None:
        try:
            self._fleet.send(worker, FrameType.RUN, Run(claims))
        except FrameTooLarge as error:
            if len(claims) > 1:
                middle = len(claims) // 2
                self._send_claims(worker, claims[:middle])
                self._send_claims(worker, claims[middle:])
                return
            run = worker.runs[(claims[0].invocation_id, claims[0].epoch)]
            self._too_large(run, f"its arguments are too large to be passed on ({error})")

    def _send_outcomes(self, worker: WorkerProcess, run: SentRun, kind: FrameType, frame: Resume) -> None:
        try:
            self._fleet.send(worker, kind, frame)
        except FrameTooLarge as error:
            count = len(frame.outcomes)
            if count > 1:
                # Half of them: a body that lacks some waits for those again, and is told at once.
                self._send_outcomes(worker, run, kind, structs.replace(frame, outcomes=frame.outcomes[: count // 2]))
                if kind is FrameType.OBSERVE:
                    self._send_outcomes(
                        worker, run, kind, structs.replace(frame, outcomes=frame.outcomes[count // 2 :])
                    )
                return
            self._too_large(run, f"what it waited for is too large to be passed on ({error})")
            self._fleet.send(worker, FrameType.ABANDON, Abandon((run.key,)))

    def _too_large(self, run: SentRun, why: str) -> None:
        worker = self._owners.get(run.key)
        if worker is not None:
            self._forget(worker, run.key)
        invocation_id, epoch = run.key
        reason = f"SerializationError: {why}; lower client_data_threshold"
        self._events.append(Finished(Failure(invocation_id=invocation_id, epoch=epoch, error=b"", reason=reason)))

    def _take_back(self, worker: WorkerProcess) -> None:
        """Ask a worker for what it has not begun; nothing is sent to it until it answers."""
        if not worker.draining:
            worker.draining = True
            self._fleet.send(worker, FrameType.DRAIN, Drain())

    def _escalate(self) -> None:
        """End by force what did not stop when asked."""
        now_s = self._clock()
        for worker in self._fleet:
            for run in worker.doomed.values():
                if run.kill_at_s is None or now_s < run.kill_at_s:
                    continue
                force(worker, run, now_s, pause_s=_TERM_TO_KILL_S)

    def _adjust_workers(self) -> None:
        """Have as many workers as are needed, those for suspects included."""
        fleet, scaling = self._fleet, self._scaling
        idle = sum(worker.is_idle and not worker.apart for worker in fleet)
        waiting = len(self._dispatcher) > 0 or any(worker.unbegun for worker in fleet)
        scaling.look(self._clock(), Load(pressed=waiting and idle == 0 and fleet.is_up, idle=idle))
        fleet.size = scaling.size
        self.slots = scaling.size * self._slots_each
        fleet.apart = self._dispatcher.workers_apart(fleet)
        fleet.adjust()

    def _note_begin(self, worker: WorkerProcess) -> None:
        self._began(worker, worker.begin(self._clock()))

    def _began(self, worker: WorkerProcess, runs: Iterable[SentRun]) -> None:
        for run in runs:
            now_s = self._clock()
            if run.stopping is not None:
                worker.doom(run, now_s + _TERM_TO_KILL_S)
            self._keeper.began(run)
            self._events.append(Began(*run.key, worker.pid, now_s))

    # --- from workers ---

    def _died(self, worker: WorkerProcess) -> None:
        """Take account of a worker that is gone."""
        seen = self._fleet.remove(worker)
        if not worker.dismissed:
            logger.warning("worker %d is gone (%s) with %d claims", worker.pid, seen.summary, len(worker.runs))
        endings = endings_of(worker, seen, self._recalled, self._execution)
        for key in worker.runs:
            self._owners.pop(key, None)
            self._recalled.discard(key)
        self._events += endings.events
        self._dispatcher.put_back(endings.again)
        if endings.culprit is not None:
            self._dispatcher.suspects.convict(endings.culprit)
        if endings.suspects:
            logger.warning("worker %d ran %d bodies: those run apart now", worker.pid, len(endings.suspects))
            self._dispatcher.suspects.divide(endings.suspects)

    def _take(self, worker: WorkerProcess, frame: Frame) -> None:
        body = frame.body
        match frame.type:
            case FrameType.DONE:
                for completion in body.completions:
                    self._done(worker, completion)
                worker.tasks += len(body.completions)
                self._retire_if_due(worker)
                self._note_begin(worker)
            case FrameType.STARTED:
                for invocation_id, epoch, thread in body.runs:
                    run = worker.runs.get((invocation_id, epoch))
                    if run is not None:
                        self._keeper.cpu_began(worker, run, thread)
            case FrameType.SUSPEND:
                self._waits(worker, body)
            case FrameType.CALL:
                self._calls.take(body, lambda reply: self._reply(worker, frame.seq, reply))
            case FrameType.PROGRESS:
                self._events.append(Noted(ProgressNote(body.invocation_id, body.epoch, body.body)))
            case FrameType.RETURNED:
                for key in body.slots:
                    self._came_back(worker, key, body.detail)
            case FrameType.DRAIN:
                # Everything that comes back has come: claims that seemed not begun have begun.
                worker.draining = False
                self._recalled.difference_update(worker.runs)
                worker.given_back = 0
                self._began(worker, worker.begin_rest(self._clock()))
            case FrameType.CREDIT:
                self._fleet.came_up(worker)
            case FrameType.BYE:
                worker.farewell = body.reason
            case _:
                pass

    def _retire_if_due(self, worker: WorkerProcess) -> None:
        why = None if worker.retiring else self._keeper.reason_to_retire(worker)
        if why is not None:
            self._retire(worker, why)

    def _retire_for_age(self) -> None:
        worker = self._keeper.aged(self._fleet.everyone)
        if worker is not None:
            self._retire(worker, "it is as old as it may become")

    def _retire_used_up(self) -> None:
        """Replace workers whose free slots are of no use: what is claimed for them would wait for bodies that run."""
        for worker in self._fleet:
            if worker.busy < worker.slots and not worker.retiring and self._keeper.room(worker) == 0:
                self._retire(worker, "it has as many bodies as it may run")

    def _retire(self, worker: WorkerProcess, why: str) -> None:
        self._fleet.retire(worker, why)
        if any(not run.began for run in worker.runs.values()):
            self._take_back(worker)

    def _done(self, worker: WorkerProcess, completion: Completion) -> None:
        if (
            isinstance(completion, Suspend)
            or self._forget(worker, (completion.invocation_id, completion.epoch)) is None
        ):
            return
        self._dispatcher.ran(completion.ran_us)
        self._dispatcher.suspects.clear(completion.invocation_id)
        self._events.append(Finished(completion))

    def _came_back(self, worker: WorkerProcess, key: Key, detail: str) -> None:
        """Give a claim that a worker did not begin to another one, or to the store if it was recalled."""
        recalled = key in self._recalled
        run = self._forget(worker, key)
        if run is None:
            return
        if run.is_cancelled:
            # It gave it back before it heard of that.
            self._events.append(Finished.unbegun(*key))
        elif recalled:
            self._events.append(Returned(*key, detail))
        else:
            # In front of what was claimed later, in the order it came.
            self._dispatcher.put_back([run], behind=worker.given_back)
            worker.given_back += 1

    def _forget(self, worker: WorkerProcess, key: Key) -> SentRun | None:
        self._owners.pop(key, None)
        self._recalled.discard(key)
        return worker.remove(key)

    def _waits(self, worker: WorkerProcess, frame: SuspendFrame) -> None:
        key = (frame.invocation_id, frame.epoch)
        run = worker.runs.get(key)
        if run is None:
            return
        worker.park(run, parked=bool(frame.waits), now_s=self._clock())
        if not run.parked:
            self._keeper.began(run)
        run.watching = frame.watch and run.parked
        run.resumed = run.resumed or run.parked
        if frame.watch:
            self._events.append(WatchWanted(*key, frame.waits))
        else:
            wish = Suspend(
                invocation_id=key[0],
                epoch=key[1],
                waits=frame.waits,
                need=frame.need,
                timeout_us=frame.timeout_us,
                ran_us=0 if run.began_s is None else int((self._clock() - run.began_s) * 1e6),
                worker=worker.pid,
            )
            self._events.append(WaitWanted(wish))
        self._retire_if_due(worker)
        self._note_begin(worker)

    def _reply(self, worker: WorkerProcess, seq: int, reply: Reply) -> None:
        if worker in self._fleet:
            self._fleet.send(worker, FrameType.REPLY, reply, seq)
