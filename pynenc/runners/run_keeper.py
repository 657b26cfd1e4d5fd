"""The runs of a session: what the store says reaches bodies, what bodies do becomes completions.

States of one claimed invocation here (`RunTable`), until its end is with the `Settler`:
claimed (with the executor, not begun) -> running <-> suspended -> gone.

Crash points and what makes each good:
* a worker dies: the executor reports it, crash or return goes with the next exchange, within milliseconds.
* a waiting body dies with its worker: its `Suspend` is replaced if it was not sent; else the run is forgotten and
  handed back when the store resumes it.
* a reply of the store was lost: `agree` compares with what the store says the session owns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from msgspec import structs

from pynenc.model.ids import Epoch, InvocationId, id_text
from pynenc.model.records import (
    CancelNotice,
    Claim,
    Completion,
    CompletionReply,
    ExchangeReply,
    Failure,
    FinishedNotice,
    Message,
    Owned,
    Release,
    Resumed,
    Suspend,
    Verdict,
)
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
from pynenc.ports.run_link import WaitReply
from pynenc.runners.claimer import Claimer
from pynenc.runners.outcome_watch import OutcomeWatch
from pynenc.runners.reconciler import differences
from pynenc.runners.run_table import Phase, Run, RunTable
from pynenc.runners.settler import Settler
from pynenc.runners.wait_cycles import find_cycle

logger = logging.getLogger(__name__)


class RunKeeper:
    """Between an executor and the exchanges of a session. Calls the executor, never the store.

    Args:
        executor: runs the bodies.
        settler: takes what is to be told to the store.
        claimer: learns how long bodies run.
        clock: monotonic seconds, the same clock the executor uses.
        stop_grace_s: between asking a body to stop and ending it by force.
        name: of the runner, for people.
        inherits: whether what a body of a queue waits for goes before it.
    """

    def __init__(
        self,
        executor: Executor,
        settler: Settler,
        claimer: Claimer,
        clock: Callable[[], float],
        *,
        stop_grace_s: float,
        name: str,
        inherits: Callable[[str], bool],
    ) -> None:
        self.table = RunTable()
        self.watch = OutcomeWatch()
        self._executor = executor
        self._settler = settler
        self._claimer = claimer
        self._clock = clock
        self._stop_grace_s = stop_grace_s
        self._name = name
        self._inherits = inherits

    # --- what the store says ---

    def apply(self, batch: Sequence[Completion], reply: ExchangeReply) -> None:
        """Act on the reply to an exchange that carried `batch`."""
        for completion, verdict in zip(batch, reply.verdicts, strict=True):
            if verdict.verdict is not Verdict.ACCEPTED:
                self._not_accepted(completion, verdict)
        if reply.resumed:
            self._resume(reply.resumed)
        if reply.claims:
            self.start(reply.claims)
        if reply.inbox:
            self._read(reply.inbox)

    def _not_accepted(self, completion: Completion, reply: CompletionReply) -> None:
        name = id_text(completion.invocation_id)
        if reply.verdict is Verdict.STALE:
            logger.warning("%s was superseded; what this runner did for it is dropped", name)
            run = self.table.get(completion.invocation_id, completion.epoch)
            if run is not None:
                self.abandon([run])
        elif isinstance(completion, Suspend):
            self._go_on(completion.invocation_id, completion.epoch, _refusal(reply))

    def _go_on(self, invocation_id: InvocationId, epoch: Epoch, reply: WaitReply) -> None:
        """Resume a waiting body; if it has no stack any more, its invocation starts from the beginning."""
        run = self.table.get(invocation_id, epoch)
        if run is None or run.phase is not Phase.SUSPENDED:
            self._settler.add(Release(invocation_id=invocation_id, epoch=epoch, detail="its stack was lost"))
            return
        self.table.resumed(run, self._clock())
        self._executor.resume([Resumption(invocation_id, epoch, reply)])

    def _resume(self, resumed: Iterable[Resumed]) -> None:
        for item in resumed:
            reply = WaitReply(outcomes=item.outcomes, timed_out=item.timed_out)
            self._go_on(item.invocation_id, item.epoch, reply)

    def start(self, claims: Sequence[Claim]) -> None:
        """Run what was claimed."""
        sound = [claim for claim in claims if self._entered(claim)]
        self._executor.run(sound)
        for claim in sound:
            if claim.cancel_requested:
                self._cancel(claim.invocation_id, claim.epoch)

    def _entered(self, claim: Claim) -> bool:
        """Enter a claim into the table; one that somebody damaged in the store fails at once, by name."""
        try:
            self.table.add(claim)
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
            self._executor.observe(self.watch.arrived(outcomes))

    def _cancel(self, invocation_id: InvocationId, epoch: Epoch) -> None:
        run = self.table.get(invocation_id, epoch)
        if run is None:
            return
        if run.phase is not Phase.SUSPENDED:
            run.cancel_told = True
            self._executor.stop(invocation_id, epoch, StopReason.CANCEL, self._stop_grace_s)
        elif not self._settler.has_suspend(invocation_id):
            # The store ended it; only its stack is left. If its `Suspend` is unsent, that will end it.
            self.abandon([run])

    def agree(self, owned: Iterable[Owned]) -> None:
        """Make good what a lost reply left out, by what the store says the session owns."""
        found = differences(owned, self.table, self._settler)
        for completion in found.completions:
            self._settler.add(completion)
        self.abandon(found.superseded)
        for run in found.cancelled:
            self._cancel(run.invocation_id, run.epoch)
        self.watch.ask_again()

    def observe(self, observations: Sequence[Observation]) -> None:
        """Hand outcomes to the coroutines that await them."""
        self._executor.observe(observations)

    def only_wait(self) -> bool:
        """Whether every run waits for other invocations."""
        return all(
            run.phase is Phase.SUSPENDED or self.watch.awaited_by((run.invocation_id, run.epoch)) for run in self.table
        )

    # --- giving up ---

    def abandon(self, runs: Iterable[Run]) -> None:
        """Forget runs that belong to others now."""
        gone = [(run.invocation_id, run.epoch) for run in runs]
        for key in gone:
            self.table.remove(*key)
            self.watch.drop(key)
        if gone:
            self._executor.abandon(gone)

    def abandon_all(self) -> int:
        """Forget everything that runs; return how many runs that were."""
        lost = list(self.table)
        self.abandon(lost)
        self.watch.clear()
        return len(lost)

    # --- what the executor says ---

    def stop_overdue(self) -> None:
        """Have bodies stopped that used up their time."""
        for run in self.table.take_overdue(self._clock()):
            self._executor.stop(run.invocation_id, run.epoch, StopReason.TIMEOUT, self._stop_grace_s)

    def absorb(self, events: Iterable[ExecutorEvent]) -> None:
        """Take note of what happened to bodies."""
        for event in events:
            if isinstance(event, Finished):
                self._finished(event.completion)
            elif isinstance(event, Noted):
                self._settler.note(event.note)
            elif isinstance(event, WaitWanted):
                self._waits(event.suspend)
            else:
                run = self.table.get(event.invocation_id, event.epoch)
                if run is not None:
                    self._happened(run, event)

    def _finished(self, completion: Completion) -> None:
        run = self.table.remove(completion.invocation_id, completion.epoch)
        if run is not None:
            self._settler.add(completion)
            self.watch.drop((completion.invocation_id, completion.epoch))
            if not isinstance(completion, Suspend):
                self._claimer.ran(completion.ran_us)

    def _waits(self, suspend: Suspend) -> None:
        run = self.table.get(suspend.invocation_id, suspend.epoch)
        if run is not None:
            self.table.suspended(run, suspend, self._clock())
            # Cycles of suspended runs are the store's to find; of coroutines it does not know what they await.
            cycle = find_cycle(run.invocation_id, suspend.waits, self.waits_of) if self.watch.in_use else ()
            if cycle:
                self._go_on(suspend.invocation_id, suspend.epoch, WaitReply(cycle=cycle))
            else:
                self._settler.add(structs.replace(suspend, inherit=True) if self._inherits(run.queue) else suspend)

    def _happened(self, run: Run, event: Began | WatchWanted | Returned | Lost) -> None:
        if isinstance(event, Began):
            self.table.began(run, event.at_s, event.worker)
            if run.cancel_told:
                # The executor may have heard of it while the body was neither queued nor running.
                self._executor.stop(run.invocation_id, run.epoch, StopReason.CANCEL, self._stop_grace_s)
        elif isinstance(event, WatchWanted):
            self._watches(run, event.waits)
        else:
            self._came_back(run, event)

    def _watches(self, run: Run, waits: tuple[InvocationId, ...]) -> None:
        self.watch.change((run.invocation_id, run.epoch), waits)
        cycle = find_cycle(run.invocation_id, waits, self.waits_of) if waits else ()
        if cycle:
            self._executor.observe([Observation(run.invocation_id, run.epoch, cycle=cycle)])
        if waits:
            self.table.branch_waits(run, self._clock())
        else:
            self.table.no_branch_waits(run, self._clock())

    def waits_of(self, invocation_id: InvocationId) -> Iterable[InvocationId]:
        """Return what a run of this runner waits for: as a whole, or some branch of it."""
        run = self.table.get(invocation_id)
        if run is None:
            return ()
        if run.phase is Phase.SUSPENDED and run.suspend is not None:
            return run.suspend.waits
        return self.watch.awaited_by((run.invocation_id, run.epoch))

    def _came_back(self, run: Run, event: Returned | Lost) -> None:
        """Hand back what never started, what was innocent of the end of its worker, or lost its stack in it."""
        self.table.remove(run.invocation_id, run.epoch)
        self.watch.drop((run.invocation_id, run.epoch))
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
