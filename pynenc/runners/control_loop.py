"""The control loop of a runner: owns the session, never runs user code, never loses what was finished.

States of the loop: opening -> serving -> draining -> closed; a lost session leads back to opening.

States of one claimed invocation here (`RunTable`), until its end is with the `Settler`:
claimed (with the executor, not begun) -> running <-> suspended -> gone.

Crash points and what makes each good:
* killed before an exchange: claims and unsent completions are the lease's business; bodies run again elsewhere.
* killed after the store applied an exchange: nothing is missing there; the claims in the reply wait for the lease.
* the reply is lost while the loop lives: completions stay with the settler and are sent again (ALREADY); before the
  next exchange `differences` compares with `list_owned`: lost claims go back uncounted, lost resumptions and
  cancellations are found, watched outcomes are asked for again.
* the session expired (a pause longer than the lease): everything it ran belongs to others; runs are abandoned
  without another word, a new session begins.
* a worker dies: the executor reports it, crash or return goes with the next exchange, within milliseconds.
* a waiting body dies with its worker: its `Suspend` is replaced if it was not sent; else the run is forgotten and
  handed back when the store resumes it.
* drained: unstarted claims go back uncounted, bodies get their time, then everything is given up with the session.

Every interaction is a request that `main` yields: operations of the orchestrator, and `Wait`. So the same code runs
over real stores and in a simulator.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from random import Random

from pynenc.errors import SessionGone, StoreError, StoreUnavailable
from pynenc.io import Op
from pynenc.model.ids import Epoch, InvocationId, SessionId, id_text
from pynenc.model.records import (
    CancelNotice,
    Claim,
    Completion,
    CompletionReply,
    Exchange,
    ExchangeReply,
    Failure,
    FinishedNotice,
    Message,
    Release,
    Resumed,
    SessionInfo,
    Suspend,
    Verdict,
)
from pynenc.ports.doorbell import Doorbell
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
from pynenc.ports.run_link import WaitReply
from pynenc.runners.backoff import Backoff, Grievances
from pynenc.runners.claimer import Claimer
from pynenc.runners.loop_config import LoopConfig
from pynenc.runners.outcome_watch import OutcomeWatch
from pynenc.runners.reconciler import differences
from pynenc.runners.run_table import Phase, Run, RunTable
from pynenc.runners.settler import Settler
from pynenc.runners.wait_cycles import find_cycle
from pynenc.runners.waiting import Wait

logger = logging.getLogger(__name__)

_WATCH_BATCH = 1_000
# A timer that the store calls overdue again and again must not turn into a busy loop.
_SHORTEST_NAP_S = 0.005


class ControlLoop:
    """Claims, settles and supervises for one runner. Perform `main()` once; the object is of no use afterwards.

    Args:
        orchestrator: the store.
        executor: runs the bodies; the loop starts and closes it and calls it from the thread that performs `main`.
        doorbell: rung by the store, by `drain` and by `kill`; its address should be in `session_info`. Not closed.
        config: numbers.
        clock: monotonic seconds, the same clock the executor uses.
        session_info: what the session tells of itself; `slots` should be the executor's.
        rng: jitter of pauses.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        executor: Executor,
        doorbell: Doorbell,
        config: LoopConfig,
        clock: Callable[[], float],
        session_info: SessionInfo,
        rng: Random | None = None,
    ) -> None:
        self._orchestrator = orchestrator
        self._executor = executor
        self._doorbell = doorbell
        self._config = config
        self._clock = clock
        self._info = session_info
        self.opened = threading.Event()
        """Set once the first session is open."""
        self._session: SessionId | None = None
        self._table = RunTable()
        self._settler = Settler(most=config.max_settle)
        self._watch = OutcomeWatch()
        self._claimer = Claimer(slots=executor.slots, prefetch=config.prefetch, most=config.max_claim)
        self._backoff = Backoff(first_s=config.backoff_first_s, most_s=config.backoff_most_s, rng=rng or Random())
        self._grievances = Grievances(logger)
        self._uncertain = False
        self._again = False
        self._renewed_s = clock()
        self._due_s: float | None = None
        self._look_s: float | None = None
        self._retry_s: float | None = None
        self._recall_s = clock()
        self._drain_grace_s: float | None = None
        self._drain_until_s: float | None = None
        self._killed = False

    # --- steering, from any thread ---

    def drain(self, grace_s: float) -> None:
        """Claim nothing more, hand back what has not started, give bodies `grace_s` to end, then finish `main`."""
        self._drain_grace_s = grace_s
        self._doorbell.ring()

    def kill(self) -> None:
        """Finish `main` now: bodies are ended by force where that is possible, their invocations handed back."""
        self._killed = True
        self._doorbell.ring()

    # --- the loop ---

    def main(self) -> Op[None]:
        """Serve until `drain` or `kill`.

        Raises:
            StoreError: the very first session could not be opened for a reason that waiting does not mend.
        """
        self._executor.start()
        try:
            yield from self._open_session(first=True)
            while not self._over():
                self._absorb(self._executor.poll())
                self._begin_drain()
                self._stop_overdue()
                self._return_unstarted()
                if self._exchange_due():
                    yield from self._exchange_guarded()
                else:
                    yield from self._nap()
        finally:
            self._abandon(list(self._table))
            self._executor.close(0.0 if self._killed else self._config.stop_grace_s)
        yield from self._close_session()

    def _over(self) -> bool:
        if self._killed:
            return True
        if self._drain_until_s is None:
            return False
        # Without a session nothing is owned and nothing can be sent.
        idle = self._session is None or not (self._table or self._settler.due)
        return idle or self._clock() >= self._drain_until_s

    def _begin_drain(self) -> None:
        if self._drain_grace_s is not None and self._drain_until_s is None:
            self._drain_until_s = self._clock() + self._drain_grace_s
            coming_back = self._executor.recall(older_than_s=0.0)
            logger.info(
                "%s drains: %d unstarted are handed back, %d have up to %g s",
                self._info.name,
                coming_back,
                len(self._table) - coming_back,
                self._drain_grace_s,
            )

    def _return_unstarted(self) -> None:
        """Hand back what was claimed ahead and found no slot for long."""
        now_s = self._clock()
        if now_s >= self._recall_s:
            self._recall_s = now_s + self._config.unstarted_most_s
            if self._executor.spare() < 0:
                self._executor.recall(older_than_s=self._config.unstarted_most_s)

    @property
    def _accepting(self) -> bool:
        return self._drain_grace_s is None

    def _nap(self) -> Op[None]:
        """Sleep until something happens or is due."""
        now_s = self._clock()
        moments = [self._table.next_deadline_s(), self._executor.due_at_s(), self._drain_until_s]
        if self._executor.spare() < 0:
            moments.append(self._recall_s)
        if self._retry_s is not None:
            # Nothing else makes an exchange due now: an overdue heartbeat must not keep the loop spinning.
            moments.append(self._retry_s)
        else:
            moments += [self._heartbeat_s, self._due_s, self._next_look_s(now_s)]
        until_s = min(moment for moment in moments if moment is not None)
        yield from self._listen((self._doorbell.fileno(), self._executor.fileno()), until_s - now_s)

    def _next_look_s(self, now_s: float) -> float | None:
        """Return when to look for bodies to report; claims that queue for a slot are looked at again and again."""
        if self._look_s is None or not self._table.reports_pending:
            return None
        return self._look_s if self._look_s > now_s else now_s + self._config.report_after_s

    def _listen(self, descriptors: tuple[int, ...], timeout_s: float) -> Op[None]:
        readable = yield Wait(descriptors, max(0.0, timeout_s))
        if self._doorbell.fileno() in readable:
            self._doorbell.clear()
            self._again = True

    @property
    def _heartbeat_s(self) -> float:
        return self._renewed_s + self._config.lease_s / 3

    # --- the session ---

    def _open_session(self, *, first: bool = False) -> Op[None]:
        """Open a session however long it takes, or return without one when the loop has to end before."""
        while self._session is None and not self._killed and self._accepting:
            try:
                lease_us = int(self._config.lease_s * 1e6)
                self._session = yield from self._orchestrator.open_session(self._info, lease_us=lease_us)
                self.opened.set()
            except StoreUnavailable as error:
                yield from self._retry_opening(error)
            except StoreError as error:
                if first:
                    raise
                yield from self._retry_opening(error)
        self._renewed_s = self._clock()
        self._claimer.reset()
        self._worked()

    def _retry_opening(self, error: StoreError) -> Op[None]:
        self._complain(error)
        yield from self._listen((self._doorbell.fileno(),), self._backoff.next_s())

    def _close_session(self) -> Op[None]:
        if self._session is not None:
            try:
                if self._settler.due:
                    yield from self._exchange()
                yield from self._orchestrator.close_session(self._session)
            except StoreError as error:
                logger.warning("%s could not end its session, its lease will: %s", self._info.name, error)
        logger.info("%s is done: %s", self._info.name, self._settler.summary())

    def _session_lost(self) -> Op[None]:
        """Drop everything and start anew: what this session owned belongs to others."""
        lost = list(self._table)
        dropped = self._settler.drop_all()
        logger.error(
            "%s lost its session %s (no exchange for longer than its lease of %g s): "
            "%d runs are given up, %d completions dropped; others run them again",
            self._info.name,
            self._session,
            self._config.lease_s,
            len(lost),
            dropped,
        )
        self._abandon(lost)
        self._watch.clear()
        self._session = None
        self._uncertain = False
        yield from self._open_session()

    # --- exchanging ---

    def _exchange_due(self) -> bool:
        now_s = self._clock()
        if self._session is None:
            return False
        if self._retry_s is not None:
            return now_s >= self._retry_s
        if self._again or self._settler.due or self._watch.unasked or now_s >= self._heartbeat_s:
            return True
        if self._due_s is not None and now_s >= self._due_s:
            return True
        if self._look_s is not None and now_s >= self._look_s and self._table.has_unreported:
            return True
        return self._accepting and self._claimer.should_ask(self._executor.spare())

    def _exchange_guarded(self) -> Op[None]:
        """Exchange; whatever goes wrong costs time, nothing else."""
        self._again = False
        try:
            if self._uncertain:
                yield from self._reconcile()
            yield from self._exchange()
            yield from self._ask_about_outcomes()
        except SessionGone:
            yield from self._session_lost()
        except StoreError as error:
            self._failed(error)
        except Exception as error:
            logger.debug("unexpected error of the store", exc_info=True)
            self._failed(error)
        else:
            self._worked()

    def _failed(self, error: Exception) -> None:
        self._uncertain = True
        self._retry_s = self._clock() + self._backoff.next_s()
        self._table.report_again()
        self._complain(error)

    def _complain(self, error: Exception) -> None:
        kept = len(self._settler)
        self._grievances.say(
            type(error).__name__,
            logging.WARNING if isinstance(error, StoreUnavailable) else logging.ERROR,
            "%s cannot reach its store or is refused by it (%s: %s); %d completions are kept, trying again",
            self._info.name,
            type(error).__name__,
            error,
            kept,
        )

    def _worked(self) -> None:
        self._retry_s = None
        self._backoff.reset()
        self._grievances.over(f"{self._info.name}: the store answers again")

    def _exchange(self) -> Op[None]:
        """Make one exchange and act on its reply."""
        assert self._session is not None
        batch, notes = self._settler.batch(), self._settler.notes()
        spare = self._executor.spare()
        accepting = self._accepting
        want = self._claimer.want(spare) if accepting else max(0, spare)
        idle = accepting and spare > 0
        sent_s = self._clock()
        request = Exchange(
            session=self._session,
            completions=batch,
            started=self._table.take_started(sent_s),
            progress=notes,
            want=want,
            queues=self._config.queues,
            language=self._config.language,
            claim_new=accepting,
            idle=idle,
            tick_budget=self._config.tick_budget,
        )
        reply = yield from self._orchestrator.exchange(request)
        now_s = self._clock()
        self._renewed_s = sent_s
        self._claimer.exchanged(now_s - sent_s)
        self._claimer.answered(asked=want, got=len(reply.claims) + len(reply.resumed), registered=idle)
        self._settler.settled(batch, notes)
        self._apply(batch, reply, now_s)

    def _apply(self, batch: tuple[Completion, ...], reply: ExchangeReply, now_s: float) -> None:
        self._again = self._again or reply.more
        self._due_s = None
        if reply.next_due_us is not None:
            self._due_s = now_s + max(_SHORTEST_NAP_S, reply.next_due_us / 1e6)
        for completion, verdict in zip(batch, reply.verdicts, strict=True):
            if verdict.verdict is not Verdict.ACCEPTED:
                self._not_accepted(completion, verdict)
        if reply.resumed:
            self._resume(reply.resumed)
        if reply.claims:
            self._start(reply.claims)
        if reply.inbox:
            self._read(reply.inbox)
        self._look_s = now_s + self._config.report_after_s

    def _not_accepted(self, completion: Completion, reply: CompletionReply) -> None:
        name = id_text(completion.invocation_id)
        if reply.verdict is Verdict.STALE:
            logger.warning("%s was superseded; what this runner did for it is dropped", name)
            run = self._table.get(completion.invocation_id, completion.epoch)
            if run is not None:
                self._abandon([run])
        elif isinstance(completion, Suspend):
            self._go_on(completion.invocation_id, completion.epoch, _refusal(reply))

    def _go_on(self, invocation_id: InvocationId, epoch: Epoch, reply: WaitReply) -> None:
        """Resume a waiting body; if it has no stack any more, its invocation starts from the beginning."""
        run = self._table.get(invocation_id, epoch)
        if run is None or run.phase is not Phase.SUSPENDED:
            self._settler.add(Release(invocation_id=invocation_id, epoch=epoch, detail="its stack was lost"))
            return
        self._table.resumed(run, self._clock())
        self._executor.resume([Resumption(invocation_id, epoch, reply)])

    def _resume(self, resumed: Iterable[Resumed]) -> None:
        for item in resumed:
            reply = WaitReply(outcomes=item.outcomes, timed_out=item.timed_out)
            self._go_on(item.invocation_id, item.epoch, reply)

    def _start(self, claims: tuple[Claim, ...]) -> None:
        sound = [claim for claim in claims if self._entered(claim)]
        self._executor.run(sound)
        for claim in sound:
            if claim.cancel_requested:
                self._cancel(claim.invocation_id, claim.epoch)

    def _entered(self, claim: Claim) -> bool:
        """Enter a claim into the table; one that somebody damaged in the store fails at once, by name."""
        try:
            self._table.add(claim)
        except ValueError as error:
            failure = Failure(
                invocation_id=claim.invocation_id, epoch=claim.epoch, error=b"", reason=f"damaged in the store: {error}"
            )
            self._settler.add(failure)
            return False
        return True

    def _read(self, inbox: Iterable[Message]) -> None:
        outcomes = []
        for message in inbox:
            if isinstance(message, FinishedNotice):
                outcomes.append(message.outcome)
            elif isinstance(message, CancelNotice):
                self._cancel(message.invocation_id, message.epoch)
        if outcomes:
            self._executor.observe(self._watch.arrived(outcomes))

    def _cancel(self, invocation_id: InvocationId, epoch: Epoch) -> None:
        run = self._table.get(invocation_id, epoch)
        if run is None:
            return
        if run.phase is not Phase.SUSPENDED:
            run.cancel_told = True
            self._executor.stop(invocation_id, epoch, StopReason.CANCEL, self._config.stop_grace_s)
        elif not self._settler.has_suspend(invocation_id):
            # The store ended it; only its stack is left. If its `Suspend` is unsent, that will end it.
            self._abandon([run])

    # --- agreeing with the store ---

    def _reconcile(self) -> Op[None]:
        assert self._session is not None
        owned = yield from self._orchestrator.list_owned(self._session)
        found = differences(owned, self._table, self._settler)
        for completion in found.completions:
            self._settler.add(completion)
        self._abandon(found.superseded)
        for run in found.cancelled:
            self._cancel(run.invocation_id, run.epoch)
        self._watch.ask_again()
        self._uncertain = False

    def _ask_about_outcomes(self) -> Op[None]:
        while self._watch.unasked and self._session is not None:
            ids = tuple(self._watch.unasked[:_WATCH_BATCH])
            reply = yield from self._orchestrator.watch(self._session, ids)
            self._watch.asked(len(ids))
            self._executor.observe(self._watch.arrived(reply.outcomes, reply.unknown))

    def _abandon(self, runs: Iterable[Run]) -> None:
        gone = [(run.invocation_id, run.epoch) for run in runs]
        for key in gone:
            self._table.remove(*key)
            self._watch.drop(key)
        if gone:
            self._executor.abandon(gone)

    # --- what the executor says ---

    def _stop_overdue(self) -> None:
        for run in self._table.take_overdue(self._clock()):
            self._executor.stop(run.invocation_id, run.epoch, StopReason.TIMEOUT, self._config.stop_grace_s)

    def _absorb(self, events: Iterable[ExecutorEvent]) -> None:
        for event in events:
            if isinstance(event, Finished):
                self._finished(event.completion)
            elif isinstance(event, Noted):
                self._settler.note(event.note)
            elif isinstance(event, WaitWanted):
                self._waits(event.suspend)
            else:
                run = self._table.get(event.invocation_id, event.epoch)
                if run is not None:
                    self._happened(run, event)

    def _finished(self, completion: Completion) -> None:
        run = self._table.remove(completion.invocation_id, completion.epoch)
        if run is not None:
            self._settler.add(completion)
            self._watch.drop((completion.invocation_id, completion.epoch))
            if not isinstance(completion, Suspend):
                self._claimer.ran(completion.ran_us)

    def _waits(self, suspend: Suspend) -> None:
        run = self._table.get(suspend.invocation_id, suspend.epoch)
        if run is not None:
            self._table.suspended(run, suspend, self._clock())
            # Cycles of suspended runs are the store's to find; of coroutines it does not know what they await.
            cycle = find_cycle(run.invocation_id, suspend.waits, self._waits_of) if self._watch.in_use else ()
            if cycle:
                self._go_on(suspend.invocation_id, suspend.epoch, WaitReply(cycle=cycle))
            else:
                self._settler.add(suspend)

    def _happened(self, run: Run, event: Began | WatchWanted | Returned | Lost) -> None:
        if isinstance(event, Began):
            self._table.began(run, event.at_s, event.worker)
        elif isinstance(event, WatchWanted):
            self._watches(run, event.waits)
        else:
            self._came_back(run, event)

    def _watches(self, run: Run, waits: tuple[InvocationId, ...]) -> None:
        self._watch.change((run.invocation_id, run.epoch), waits)
        cycle = find_cycle(run.invocation_id, waits, self._waits_of) if waits else ()
        if cycle:
            self._executor.observe([Observation(run.invocation_id, run.epoch, cycle=cycle)])
        if waits:
            self._table.stop_clock(run, self._clock())
        else:
            self._table.start_clock(run, self._clock())

    def _waits_of(self, invocation_id: InvocationId) -> Iterable[InvocationId]:
        """Return what a run of this runner waits for: as a whole, or some branch of it."""
        run = self._table.get(invocation_id)
        if run is None:
            return ()
        if run.phase is Phase.SUSPENDED and run.suspend is not None:
            return run.suspend.waits
        return self._watch.awaited_by((run.invocation_id, run.epoch))

    def _came_back(self, run: Run, event: Returned | Lost) -> None:
        """Hand back what never started, or what lost its stack while it waited."""
        self._table.remove(run.invocation_id, run.epoch)
        release = Release(invocation_id=run.invocation_id, epoch=run.epoch, detail=event.detail)
        if isinstance(event, Returned):
            self._claimer.pause_prefetch()
        # A run that the store let go on before its loss was seen here is owned like any other: hand it back.
        if isinstance(event, Returned) or run.phase is not Phase.SUSPENDED:
            self._settler.add(release)
        elif not self._settler.replace_suspend(release):
            logger.warning(
                "%s waits without a stack (%s): it starts anew later", id_text(run.invocation_id), event.detail
            )


def _refusal(reply: CompletionReply) -> WaitReply:
    """Return what a body hears whose `Suspend` did not suspend it."""
    if reply.verdict is Verdict.WAIT_CYCLE:
        return WaitReply(cycle=reply.cycle)
    if reply.verdict is Verdict.UNKNOWN:
        return WaitReply(unknown=reply.cycle)
    return WaitReply(outcomes=reply.outcomes)
