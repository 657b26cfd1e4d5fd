"""The session of a runner: opened however long it takes, renewed by exchanges, lost and opened anew, closed.

Crash points and what makes each good:
* killed before an exchange: claims and unsent completions are the lease's business; bodies run again elsewhere.
* killed after the store applied an exchange: nothing is missing there; the claims in the reply wait for the lease.
* the reply is lost while the runner lives: completions stay with the settler and are sent again (ALREADY); before the
  next exchange the runs are compared with `list_owned`: lost claims go back uncounted, lost resumptions and
  cancellations are found, watched outcomes are asked for again.
* a request that was given up is applied later still, by a server that was stopped or a network that held it back: the
  runs are compared again with every heartbeat, until no request can be under way any more.
* the session expired (a pause longer than the lease): everything it ran belongs to others; runs are abandoned
  without another word, a new session begins.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from random import Random

from msgspec import structs

from pynenc.errors import SessionGone, StoreError, StoreSealed, StoreUnavailable
from pynenc.io import Op
from pynenc.model.ids import SessionId
from pynenc.model.records import Completion, Exchange, ExchangeReply, SessionInfo, SessionKind
from pynenc.ports.executor import Executor
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners.backoff import Backoff, Grievances
from pynenc.runners.claimer import Claimer
from pynenc.runners.loop_config import LoopConfig
from pynenc.runners.pulse import Pulse
from pynenc.runners.queue_limits import Ask, QueueLimits
from pynenc.runners.queue_turns import QueueOrder, QueueTurns
from pynenc.runners.run_keeper import RunKeeper
from pynenc.runners.settler import Settler
from pynenc.runners.steering import Steering
from pynenc.runners.wait_bound import WaitBound

logger = logging.getLogger(__name__)

_WATCH_BATCH = 1_000
# A timer that the store calls overdue again and again must not turn into a busy loop.
_SHORTEST_NAP_S = 0.005
_DOUBT_S = 180.0
"""So long after it was given up a request may still arrive: the kernel repeats what nobody acknowledged."""


class StoreSession:
    """Everything that a runner says to its store.

    Args:
        orchestrator: the store.
        runs: is told what the store says, and asked what to report.
        settler: what is to be told to the store.
        claimer: how much work to ask for.
        bound: which work, when many bodies wait.
        executor: asked for its free slots.
        steering: whether the runner goes on, and how it sleeps.
        config: numbers.
        clock: monotonic seconds.
        info: what the session tells of itself.
        rng: jitter of pauses.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        runs: RunKeeper,
        settler: Settler,
        claimer: Claimer,
        bound: WaitBound,
        executor: Executor,
        steering: Steering,
        config: LoopConfig,
        clock: Callable[[], float],
        info: SessionInfo,
        rng: Random,
    ) -> None:
        self._orchestrator = orchestrator
        self._runs = runs
        self._settler = settler
        self._claimer = claimer
        self._bound = bound
        self._executor = executor
        self._steering = steering
        self._config = config
        self._clock = clock
        self._info = info
        self._limits = QueueLimits(config.queues, config.queue_limits, runs.table.in_hand)
        self._turns: QueueLimits | QueueTurns = self._limits
        if config.queue_order is not QueueOrder.BY_RANK:
            self._turns = QueueTurns(config.queue_order, config.queues, self._limits, rng)
        self._backoff = Backoff(first_s=config.backoff_first_s, most_s=config.backoff_most_s, rng=rng)
        self._grievances = Grievances(logger)
        self.pulse = Pulse(clock)
        """How the loop is, for other threads."""
        self.opened = threading.Event()
        """Set once the first session is open."""
        self._session: SessionId | None = None
        self._uncertain = False
        self._doubt_until_s = 0.0
        self._compared_s = 0.0
        self._again = False
        self._renewed_s = clock()
        self._due_s: float | None = None
        self._look_s: float | None = None
        self._retry_s: float | None = None

    @property
    def is_open(self) -> bool:
        return self._session is not None

    @property
    def in_trouble(self) -> bool:
        """Whether the store did not answer last time."""
        return self._retry_s is not None

    @property
    def has_unsent(self) -> bool:
        """Whether there is something to tell the store."""
        return self._settler.due

    # --- opening, losing, closing ---

    def open(self, *, first: bool = False) -> Op[None]:
        """Open a session however long it takes, or return without one when the runner has to end before.

        Raises:
            StoreError: it is the `first`, and could not be opened for a reason that waiting does not mend.
        """
        while self._session is None and self._steering.accepting:
            self.pulse.turned()
            try:
                lease_us = int(self._config.lease_s * 1e6)
                self._info = self._present_info()
                self._session = yield from self._orchestrator.open_session(self._info, lease_us=lease_us)
                self.pulse.in_session = True
                self.opened.set()
            except StoreUnavailable as error:
                yield from self._retry_opening(error)
            except Exception as error:
                if first:
                    raise
                yield from self._retry_opening(error)
        self._renewed_s = self._clock()
        self._claimer.reset()
        self._worked()

    def _present_info(self) -> SessionInfo:
        """Return what the session tells of itself, as it is now; the same object if nothing changed."""
        slots = self._executor.slots
        return self._info if slots == self._info.slots else structs.replace(self._info, slots=slots)

    def _retry_opening(self, error: Exception) -> Op[None]:
        self._complain(error)
        rang = yield from self._steering.sleep((), self._backoff.next_s())
        self._again = self._again or rang

    def close(self) -> Op[None]:
        """Send what is left and end the session; what cannot be sent is the lease's business."""
        if self._session is not None:
            try:
                while self._settler.due:
                    yield from self._exchange()
                yield from self._orchestrator.close_session(self._session)
            except StoreError as error:
                logger.warning("%s could not end its session, its lease will: %s", self._info.name, error)
        logger.info("%s is done: %s", self._info.name, self._settler.summary())

    def _lost(self) -> Op[None]:
        """Drop everything and start anew: what this session owned belongs to others."""
        dropped = self._settler.drop_all()
        given_up = self._runs.abandon_all()
        logger.error(
            "%s lost its session %s (no exchange for longer than its lease of %g s): "
            "%d runs are given up, %d completions dropped; others run them again",
            self._info.name,
            self._session,
            self._config.lease_s,
            given_up,
            dropped,
        )
        self._session = None
        self.pulse.in_session = False
        self._uncertain = False
        yield from self.open()

    def other_runners(self) -> Op[int]:
        """Return how many other runners have a session."""
        rows = yield from self._orchestrator.list_sessions()
        return sum(row.info.kind is SessionKind.RUNNER and row.session != self._session for row in rows)

    def another_is_free(self) -> Op[bool]:
        """Return whether another runner that may have what this one claims has a slot to spare."""
        rows = yield from self._orchestrator.list_sessions()
        return any(row.session != self._session and row.has_room and self._shares_work(row.info) for row in rows)

    def _shares_work(self, info: SessionInfo) -> bool:
        """Whether another session claims from a queue that this one claims from as well."""
        ours, theirs = self._config.queues, info.queues
        same = info.kind is SessionKind.RUNNER and info.language == self._config.language
        return same and (not ours or not theirs or not set(ours).isdisjoint(theirs))

    # --- when to exchange ---

    def rang(self, *, line_was_cut: bool) -> None:
        """Note that the doorbell rang: the store has something for this session, or somebody gave an order.

        Args:
            line_was_cut: the line to the store broke meanwhile; what is owned and watched has to be compared.
        """
        self._again = True
        self._uncertain = self._uncertain or line_was_cut

    def exchange_due(self) -> bool:
        """Whether there is something to tell the store, to ask it, or to renew."""
        now_s = self._clock()
        if self._session is None:
            return False
        if self._retry_s is not None:
            return now_s >= self._retry_s
        if self._again or self._settler.due or self._runs.watch.unasked or now_s >= self._heartbeat_s:
            return True
        if self._due_s is not None and now_s >= self._due_s:
            return True
        if self._look_s is not None and now_s >= self._look_s and self._runs.table.has_unreported:
            return True
        return self._steering.accepting and self._should_ask(self._executor.spare())

    def _should_ask(self, spare: int) -> bool:
        return self._bound.look_due(spare) if self._bound.reached else self._claimer.should_ask(spare)

    def bound_crossed(self) -> None:
        """Note that as many bodies wait as may, or that this is over: what was asked for before is no measure."""
        self._claimer.reset()

    def due_at_s(self, now_s: float) -> float:
        """Return when an exchange is due at the latest if nothing happens until then."""
        if self._retry_s is not None:
            # Nothing else makes an exchange due now: an overdue heartbeat must not keep the loop spinning.
            return self._retry_s
        awaited_s = self._bound.due_at_s(self._executor.spare()) if self._steering.accepting else None
        moments = (self._heartbeat_s, self._due_s, self._next_look_s(now_s), awaited_s)
        return min(moment for moment in moments if moment is not None)

    def _next_look_s(self, now_s: float) -> float | None:
        """Return when to look for bodies to report; claims that queue for a slot are looked at again and again."""
        if self._look_s is None or not self._runs.table.reports_pending:
            return None
        return self._look_s if self._look_s > now_s else now_s + self._config.report_after_s

    @property
    def _heartbeat_s(self) -> float:
        return self._renewed_s + self._config.lease_s / 3

    # --- exchanging ---

    def exchange(self) -> Op[None]:
        """Exchange; whatever goes wrong costs time, nothing else."""
        self._again = False
        # What came before in this round of the loop may have waited for the store as well.
        self.pulse.turned()
        try:
            if self._has_to_compare():
                yield from self._reconcile()
            yield from self._exchange()
            yield from self._ask_about_outcomes()
        except (SessionGone, StoreSealed):
            # A store is sealed only once no session is alive, so this one was not.
            yield from self._lost()
        except StoreError as error:
            self._failed(error)
        except Exception as error:
            logger.debug("unexpected error of the store", exc_info=True)
            self._failed(error)
        else:
            self._worked()

    def _has_to_compare(self) -> bool:
        """Whether runner and store may see different things."""
        now_s = self._clock()
        return self._uncertain or (now_s < self._doubt_until_s and now_s >= self._compared_s + self._config.lease_s / 3)

    def _failed(self, error: Exception) -> None:
        self._uncertain = True
        self._doubt_until_s = self._clock() + _DOUBT_S
        self._retry_s = self._clock() + self._backoff.next_s()
        self._runs.table.report_again()
        self._complain(error)

    def _complain(self, error: Exception) -> None:
        self.pulse.refused(error)
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
        self.pulse.answered()
        self._retry_s = None
        self._backoff.reset()
        self._grievances.over(f"{self._info.name}: the store answers again")

    def _exchange(self) -> Op[None]:
        """Make one exchange and act on its reply."""
        assert self._session is not None
        batch, notes = self._settler.batch(), self._settler.notes()
        spare = self._executor.spare()
        self._claimer.slots = self._bound.slots = self._executor.slots
        accepting = self._steering.accepting
        ask = Ask(self._config.queues, max(0, spare), claims=False)
        only = None
        turns = self._turns
        if accepting:
            only = self._bound.only()
            # What waiting bodies need is a matter of rank, and a runner that waits for its bell takes what comes.
            turns = self._limits if only is not None or self._claimer.is_listening else self._turns
            ask = turns.ask(self._bound.want(self._claimer.want(spare), spare))
        info = self._present_info()
        # At the bound it must not be rung in place of others for what it would not take.
        idle = accepting and spare > 0 and ask.wide and ask.claims and only is None
        sent_s = self._clock()
        request = Exchange(
            session=self._session,
            completions=batch,
            started=self._runs.table.take_started(sent_s),
            progress=notes,
            want=ask.want,
            queues=ask.queues,
            language=self._config.language,
            claim_new=ask.claims,
            before=only.before if only else None,
            awaited=only is not None and only.awaited,
            idle=idle,
            tick_budget=self._config.tick_budget,
            info=None if info is self._info else info,
        )
        reply = yield from self._orchestrator.exchange(request)
        now_s = self._clock()
        self._renewed_s, self._info = sent_s, info
        self._claimer.exchanged(now_s - sent_s)
        # A full queue is asked again when a body of it ends.
        heard = idle or not ask.claims
        got = len(reply.claims) + len(reply.resumed)
        turns.answered(ask, got)
        self._claimer.answered(asked=ask.want, got=got, registered=heard)
        self._settler.settled(batch, notes)
        self._apply(batch, reply, now_s)
        if only is not None:
            yield from self._claim_awaited(ask, got)

    def _claim_awaited(self, ask: Ask, got: int) -> Op[None]:
        """Claim by id what waiting bodies need and their queues did not give."""
        assert self._session is not None
        most = min(self._executor.spare(), ask.want - got) if ask.claims else 0
        ids = self._bound.ids() if most > 0 else ()
        if ids:
            replies = yield from self._orchestrator.claim_ids(self._session, ids, queues=ask.queues, most=most)
            claims = [reply.claim for reply in replies if reply.claim is not None]
            self._runs.start(claims)
            self._bound.claimed(claims)
            got += len(claims)
        self._bound.looked(self._executor.spare(), found=got > 0)

    def _apply(self, batch: tuple[Completion, ...], reply: ExchangeReply, now_s: float) -> None:
        self._again = self._again or reply.more
        self._due_s = None
        if reply.next_due_us is not None:
            self._due_s = now_s + max(_SHORTEST_NAP_S, reply.next_due_us / 1e6)
        self._runs.apply(batch, reply)
        self._look_s = now_s + self._config.report_after_s

    def _reconcile(self) -> Op[None]:
        assert self._session is not None
        self._runs.agree((yield from self._orchestrator.list_owned(self._session)))
        self._uncertain = False
        self._compared_s = self._clock()

    def _ask_about_outcomes(self) -> Op[None]:
        watch = self._runs.watch
        while watch.unasked and self._session is not None:
            ids = tuple(watch.unasked[:_WATCH_BATCH])
            reply = yield from self._orchestrator.watch(self._session, ids)
            watch.asked(len(ids))
            self._runs.observe(watch.arrived(reply.outcomes, reply.unknown))
