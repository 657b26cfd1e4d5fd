"""Running bodies in persistent worker processes.

States of a claim here: backlog -> sent -> running <-> parked -> over. States of a worker: starting -> ready -> gone,
and replaced. Crash points:
* a worker dies: its socket closes at once. The body that ran ends as `Crash` (or as what it was being stopped for),
  claims it had not begun go back to the front of the backlog, stacks that waited are `Lost`. Which body ran is
  written in memory that outlives the worker, so nobody is blamed for what another one did.
* a worker cannot load the app: it says why before it ends; replacements come ever slower.
* this process dies: the workers' sockets close and they end; the lease does the rest.
"""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import structs

from pynenc.core.loading import AppReference
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Cancelled, Claim, Completion, Crash, Failure, ProgressNote, Suspend
from pynenc.ports.attempts import AttemptExecution
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
    WatchWanted,
)
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners.store_calls import StoreCalls
from pynenc.runners.worker_process import Key, SentRun, WorkerProcess
from pynenc.wire.frames import (
    PROTOCOL,
    Abandon,
    Bye,
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

_MOST_AHEAD = 64
_SHORT_S = 0.002
"""Bodies shorter than this are sent ahead in batches: the way to the worker would cost more than they do."""
_LONG_S = 0.02
"""A body that runs so long keeps others from beginning: they are taken back and go where there is room."""
_FIRST_RESTART_S, _LONGEST_RESTART_S = 0.1, 10.0
_TERM_TO_KILL_S = 1.0
_DYING_S = 0.5
_SMOOTHING = 0.1


class ProcessExecutor(Executor):
    """Up to `slots` bodies at a time, one in each worker process.

    Args:
        execution: says what follows a body that had to be killed.
        orchestrator: performs what bodies submit.
        reference: how workers get the app.
        slots: number of worker processes.
        runner_name: for people.
        clock: the clock of the control loop.
    """

    def __init__(
        self,
        execution: AttemptExecution,
        orchestrator: Orchestrator,
        reference: AppReference,
        *,
        slots: int,
        runner_name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = slots
        self._execution = execution
        self._calls = StoreCalls(orchestrator)
        self._welcome = Welcome(PROTOCOL, runner_name, msgspec.msgpack.encode(reference))
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._owners: dict[Key, WorkerProcess] = {}
        self._backlog: deque[tuple[Claim, float]] = deque()
        self._recalled: set[Key] = set()
        """What is to go back to the store instead of to another worker."""
        self._events: list[ExecutorEvent] = []
        self._mean_s = 0.0
        self._restart_pause_s = 0.0
        self._restart_at_s: float | None = None
        self._closed = False

    # --- Executor ---

    def start(self) -> None:
        for _ in range(self.slots):
            self._add_worker()

    def fileno(self) -> int:
        descriptor: int = self._selector.fileno()
        return descriptor

    def poll(self) -> Sequence[ExecutorEvent]:
        for key, mask in self._selector.select(0):
            worker: WorkerProcess = key.data
            if worker not in self._workers:
                continue
            if mask & selectors.EVENT_WRITE:
                worker.flush()
                self._watch(worker)
            if mask & selectors.EVENT_READ:
                self._read(worker, ended=key.fd == worker.exit_fd)
        self._calls.perform()
        self._rebalance()
        self._escalate()
        self._replace_workers()
        self._dispatch()
        events, self._events = self._events, []
        return events

    def due_at_s(self) -> float | None:
        moments = [run.kill_at_s for worker in self._workers for run in worker.runs.values() if run.kill_at_s]
        moments += [since_s + _LONG_S for worker in self._workers if (since_s := worker.waiting_since_s) is not None]
        if self._restart_at_s is not None:
            moments.append(self._restart_at_s)
        if self._events:
            moments.append(self._clock())
        return min(moments, default=None)

    def spare(self) -> int:
        return self.slots - len(self._backlog) - sum(worker.busy for worker in self._workers)

    def run(self, claims: Sequence[Claim]) -> None:
        now_s = self._clock()
        self._backlog.extend((claim, now_s) for claim in claims)
        self._dispatch()

    def resume(self, resumptions: Sequence[Resumption]) -> None:
        for item in resumptions:
            worker, run = self._find(item.invocation_id, item.epoch)
            if worker is None or run is None:
                continue
            run.parked = False
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

    def _send_outcomes(self, worker: WorkerProcess, run: SentRun, kind: FrameType, frame: Resume) -> None:
        try:
            worker.send(kind, frame)
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
            worker.send(FrameType.ABANDON, Abandon((run.key,)))
        self._watch(worker)

    def _too_large(self, run: SentRun, why: str) -> None:
        worker = self._owners.get(run.key)
        if worker is not None:
            self._forget(worker, run.key)
        invocation_id, epoch = run.key
        reason = f"SerializationError: {why}; lower client_data_threshold"
        self._events.append(Finished(Failure(invocation_id=invocation_id, epoch=epoch, error=b"", reason=reason)))

    def stop(self, invocation_id: InvocationId, epoch: Epoch, why: StopReason, grace_s: float) -> None:
        worker, run = self._find(invocation_id, epoch)
        if worker is None or run is None:
            self._stop_in_backlog(invocation_id, epoch)
            return
        if run.stopping is None:
            run.stopping = why.value
            if run.began and not run.parked:
                run.kill_at_s = self._clock() + grace_s
        worker.send(FrameType.CANCEL, Cancel(invocation_id, epoch, why.value, int(grace_s * 1000)))
        self._watch(worker)

    def abandon(self, runs: Iterable[Key]) -> None:
        gone = set(runs)
        self._backlog = deque(each for each in self._backlog if (each[0].invocation_id, each[0].epoch) not in gone)
        for key in gone:
            worker = self._owners.pop(key, None)
            run = worker.runs.pop(key, None) if worker is not None else None
            if worker is None or run is None:
                continue
            if run.began and not run.parked:
                # Nothing tells when a body that nobody asks about any more ends: its process ends now.
                worker.signal(signal.SIGKILL)
            else:
                worker.send(FrameType.ABANDON, Abandon((key,)))
                self._watch(worker)

    def recall(self, *, older_than_s: float) -> int:
        oldest_s = self._clock() - older_than_s
        kept = deque(each for each in self._backlog if each[1] > oldest_s)
        returned = [each[0] for each in self._backlog if each[1] <= oldest_s]
        self._backlog = kept
        for claim in returned:
            self._events.append(Returned(claim.invocation_id, claim.epoch, "claimed ahead and not started"))
        coming = len(returned)
        for worker in self._workers:
            unstarted = [run.key for run in worker.runs.values() if not run.began and run.since_s <= oldest_s]
            if unstarted:
                self._recalled.update(unstarted)
                self._take_back(worker)
                coming += len(unstarted)
        return coming

    def _take_back(self, worker: WorkerProcess) -> None:
        """Ask a worker for what it has not begun; nothing is sent to it until it answers."""
        if not worker.draining:
            worker.draining = True
            worker.send(FrameType.DRAIN, Drain())
            self._watch(worker)

    def _rebalance(self) -> None:
        now_s = self._clock()
        for worker in self._workers:
            since_s = worker.waiting_since_s
            if since_s is not None and now_s - since_s >= _LONG_S:
                self._take_back(worker)

    def close(self, grace_s: float) -> None:
        """End the workers: asked first, killed after `grace_s`."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.send(FrameType.BYE, Bye("the runner ends"))
        deadline_s = self._clock() + grace_s
        for worker in self._workers:
            worker.end(max(0.05, deadline_s - self._clock()))
        self._workers.clear()
        self._selector.close()

    # --- workers ---

    def _add_worker(self) -> None:
        worker = WorkerProcess(self._clock())
        self._workers.append(worker)
        self._selector.register(worker.fileno(), selectors.EVENT_READ, worker)
        if worker.exit_fd is not None:
            self._selector.register(worker.exit_fd, selectors.EVENT_READ, worker)
        worker.send(FrameType.WELCOME, self._welcome)

    def _watch(self, worker: WorkerProcess) -> None:
        """Ask to be told when a socket takes more, while there is more."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.has_unsent else 0)
        if self._selector.get_key(worker.fileno()).events != events:
            self._selector.modify(worker.fileno(), events, worker)

    def _read(self, worker: WorkerProcess, *, ended: bool) -> None:
        frames, alive = worker.read()
        for frame in frames:
            self._take(worker, frame)
        if alive and not ended:
            self._watch(worker)
        else:
            self._died(worker)

    def _died(self, worker: WorkerProcess) -> None:
        """Take account of a worker that is gone."""
        self._selector.unregister(worker.fileno())
        if worker.exit_fd is not None:
            self._selector.unregister(worker.exit_fd)
        self._workers.remove(worker)
        culprit = self._culprit(worker)
        how = worker.end(_DYING_S)
        if worker.farewell:
            how = f"{how}: {worker.farewell}"
        logger.warning("worker %d is gone (%s) with %d claims", worker.pid, how, len(worker.runs))
        back: list[tuple[Claim, float]] = []
        for run in worker.runs.values():
            self._owners.pop(run.key, None)
            if run.key in self._recalled:
                self._recalled.discard(run.key)
                self._events.append(Returned(*run.key, "not started when its worker died"))
            elif run.key == culprit or run.watching or run.terminated:
                self._events.append(Finished(self._end_of(run, worker, how)))
            elif run.parked:
                self._events.append(Lost(*run.key, f"its worker is gone ({how})"))
            elif run.resumed:
                self._events.append(Returned(*run.key, f"its worker is gone ({how})"))
            else:
                back.append((run.claim, run.since_s))
        self._backlog.extendleft(reversed(back))
        self._plan_replacement(worker, self._clock())

    def _culprit(self, worker: WorkerProcess) -> Key | None:
        """Return the run whose body the worker died in: what it noted itself, else the first in the order sent."""
        noted = worker.runs.get(worker.last_running())
        if noted is None or noted.parked:
            noted = worker.running()
        return None if noted is None else noted.key

    def _end_of(self, run: SentRun, worker: WorkerProcess, how: str) -> Completion:
        """Return how the body that ran in a dead worker ended."""
        claim = run.claim
        if run.stopping == StopReason.TIMEOUT.value:
            return self._execution.timed_out(claim, f"it did not stop when asked; its worker was ended ({how})")
        if run.stopping == StopReason.CANCEL.value:
            detail = "cancelled while running; its worker was ended"
            return Cancelled(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=detail, worker=worker.pid)
        return Crash(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=how, worker=worker.pid)

    def _plan_replacement(self, worker: WorkerProcess, now_s: float) -> None:
        """Replace at once a worker that had served; back off from ones that do not come up."""
        if worker.ready:
            self._restart_pause_s = 0.0
            self._restart_at_s = now_s
            return
        self._restart_pause_s = min(_LONGEST_RESTART_S, self._restart_pause_s * 2 or _FIRST_RESTART_S)
        self._restart_at_s = now_s + self._restart_pause_s
        logger.error(
            "worker %d did not come up: %s; the next one follows in %.1f s",
            worker.pid,
            worker.farewell or "it said nothing",
            self._restart_pause_s,
        )

    def _replace_workers(self) -> None:
        if self._restart_at_s is None or self._clock() < self._restart_at_s or self._closed:
            return
        self._restart_at_s = None
        while len(self._workers) < self.slots:
            self._add_worker()

    def _escalate(self) -> None:
        """End by force what did not stop when asked."""
        now_s = self._clock()
        for worker in self._workers:
            for run in worker.runs.values():
                if run.kill_at_s is None or now_s < run.kill_at_s:
                    continue
                worker.signal(signal.SIGKILL if run.terminated else signal.SIGTERM)
                run.terminated = True
                run.kill_at_s = now_s + _TERM_TO_KILL_S

    # --- claims ---

    def _find(self, invocation_id: InvocationId, epoch: Epoch) -> tuple[WorkerProcess | None, SentRun | None]:
        worker = self._owners.get((invocation_id, epoch))
        return worker, worker.runs.get((invocation_id, epoch)) if worker is not None else None

    def _dispatch(self) -> None:
        """Send claims to the workers that have least, short ones in batches."""
        if not self._backlog:
            return
        most = _MOST_AHEAD if self._mean_s < _SHORT_S else 1
        ready = [worker for worker in self._workers if worker.ready]
        now_s = self._clock()
        room = {id(worker): self._room(worker, most, now_s) for worker in ready}
        batches: dict[int, list[tuple[Claim, float]]] = {id(worker): [] for worker in ready}
        share = max(1, -(-len(self._backlog) // max(1, len(ready))))
        for worker in sorted(ready, key=lambda each: each.busy):
            take = min(room[id(worker)], share, len(self._backlog))
            for _ in range(take):
                batches[id(worker)].append(self._backlog.popleft())
        for worker in ready:
            if batches[id(worker)]:
                self._send_claims(worker, batches[id(worker)])

    def _room(self, worker: WorkerProcess, most: int, now_s: float) -> int:
        if worker.draining:
            return 0
        running = worker.running()
        long = running is not None and running.began_s is not None and now_s - running.began_s >= _LONG_S
        return (1 if long else most) - worker.busy

    def _send_claims(self, worker: WorkerProcess, claims: list[tuple[Claim, float]]) -> None:
        for claim, since_s in claims:
            run = SentRun(claim, since_s)
            worker.runs[run.key] = run
            self._owners[run.key] = worker
        self._send_run(worker, tuple(claim for claim, _ in claims))
        self._watch(worker)
        self._note_begin(worker)

    def _send_run(self, worker: WorkerProcess, claims: tuple[Claim, ...]) -> None:
        try:
            worker.send(FrameType.RUN, Run(claims))
        except FrameTooLarge as error:
            if len(claims) > 1:
                middle = len(claims) // 2
                self._send_run(worker, claims[:middle])
                self._send_run(worker, claims[middle:])
                return
            run = worker.runs[(claims[0].invocation_id, claims[0].epoch)]
            self._too_large(run, f"its arguments are too large to be passed on ({error})")

    def _note_begin(self, worker: WorkerProcess) -> None:
        run = worker.next_to_begin()
        if run is not None:
            run.began_s = self._clock()
            if run.stopping is not None:
                run.kill_at_s = run.began_s + _TERM_TO_KILL_S
            self._events.append(Began(*run.key, worker.pid, run.began_s))

    def _stop_in_backlog(self, invocation_id: InvocationId, epoch: Epoch) -> None:
        for each in self._backlog:
            if (each[0].invocation_id, each[0].epoch) == (invocation_id, epoch):
                self._backlog.remove(each)
                detail = "cancelled before it started"
                self._events.append(Finished(Cancelled(invocation_id=invocation_id, epoch=epoch, detail=detail)))
                return

    # --- what workers say ---

    def _take(self, worker: WorkerProcess, frame: Frame) -> None:
        body = frame.body
        match frame.type:
            case FrameType.DONE:
                for completion in body.completions:
                    self._done(worker, completion)
                self._note_begin(worker)
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
                self._note_begin(worker)
            case FrameType.CREDIT:
                worker.ready = True
                self._restart_pause_s = 0.0
            case FrameType.BYE:
                worker.farewell = body.reason
            case _:
                pass

    def _done(self, worker: WorkerProcess, completion: Completion) -> None:
        if (
            isinstance(completion, Suspend)
            or self._forget(worker, (completion.invocation_id, completion.epoch)) is None
        ):
            return
        self._mean_s += _SMOOTHING * (completion.ran_us / 1e6 - self._mean_s)
        self._events.append(Finished(completion))

    def _came_back(self, worker: WorkerProcess, key: Key, detail: str) -> None:
        """Give a claim that a worker did not begin to another one, or to the store if it was recalled."""
        run = self._forget(worker, key)
        if run is None:
            return
        if key in self._recalled:
            self._recalled.discard(key)
            self._events.append(Returned(*key, detail))
        else:
            # In front of what was claimed later, in the order it came.
            self._backlog.insert(worker.given_back, (run.claim, run.since_s))
            worker.given_back += 1

    def _forget(self, worker: WorkerProcess, key: Key) -> SentRun | None:
        self._owners.pop(key, None)
        return worker.runs.pop(key, None)

    def _waits(self, worker: WorkerProcess, frame: SuspendFrame) -> None:
        key = (frame.invocation_id, frame.epoch)
        run = worker.runs.get(key)
        if run is None:
            return
        run.parked = bool(frame.waits)
        run.watching = frame.watch and run.parked
        if run.parked:
            run.kill_at_s = None
            run.resumed = True
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
        self._note_begin(worker)

    def _reply(self, worker: WorkerProcess, seq: int, reply: Reply) -> None:
        if worker in self._workers:
            worker.send(FrameType.REPLY, reply, seq)
            self._watch(worker)
