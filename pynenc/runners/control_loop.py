"""The control loop of a runner: owns the session, never runs user code, never loses what was finished.

States of the loop: opening -> serving -> draining -> closed; a lost session leads back to opening (`StoreSession`).
States and crash points of what it runs are told in `RunKeeper`, those of its exchanges in `StoreSession`.
* drained: unstarted claims go back uncounted, bodies get their time, then everything is given up with the session
  (`Drain`).
* killed: whatever was under way is the lease's business.

Every interaction is a request that `main` yields: operations of the orchestrator, and `Wait`. So the same code runs
over real stores and in a simulator.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from random import Random

from pynenc.io import Op
from pynenc.model.records import SessionInfo
from pynenc.ports.doorbell import Doorbell
from pynenc.ports.executor import Executor
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners.claimer import Claimer
from pynenc.runners.draining import Drain
from pynenc.runners.handing_back import HandBack
from pynenc.runners.loop_config import LoopConfig
from pynenc.runners.pulse import Pulse
from pynenc.runners.run_keeper import RunKeeper
from pynenc.runners.settler import Settler
from pynenc.runners.steering import Steering
from pynenc.runners.store_session import StoreSession
from pynenc.runners.wait_bound import WaitBound

logger = logging.getLogger(__name__)


class ControlLoop:
    """Claims, settles and supervises for one runner. Perform `main()` once; the object is of no use afterwards.

    Args:
        orchestrator: the store.
        executor: runs the bodies; the loop starts and closes it and calls it from the thread that performs `main`.
        doorbell: rung by the store, by `drain` and by `kill`; its address should be in `session_info`. Not closed.
        config: numbers.
        clock: monotonic seconds, the same clock the executor uses.
        session_info: what the session tells of itself; its `slots` follow the executor's.
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
        self._executor = executor
        self._config = config
        self._clock = clock
        self._name = session_info.name
        self._steering = Steering(doorbell)
        self._settler = Settler(most=config.max_settle)
        claimer = Claimer(slots=executor.slots, prefetch=config.prefetch, most=config.max_claim)
        self._runs = RunKeeper(
            executor,
            self._settler,
            claimer,
            clock,
            stop_grace_s=config.stop_grace_s,
            name=self._name,
            inherits=config.inherits,
        )
        self._bound = WaitBound(
            self._runs.table, config.park_limits, slots=executor.slots, waits_of=self._runs.waits_of, clock=clock
        )
        self._session = StoreSession(
            orchestrator,
            self._runs,
            self._settler,
            claimer,
            self._bound,
            executor,
            self._steering,
            config,
            clock,
            session_info,
            rng or Random(),
        )
        self._drain = Drain(
            executor, self._runs, self._session, clock, look_every_s=config.lease_s / 3, name=self._name
        )
        self._hand_back = HandBack(
            executor,
            self._session,
            lambda: self._runs.table.ended,
            clock,
            stuck_s=config.stuck_s,
            most_s=config.unstarted_most_s,
        )

    @property
    def opened(self) -> threading.Event:
        """Set once the first session is open."""
        return self._session.opened

    @property
    def pulse(self) -> Pulse:
        """How it is, for other threads."""
        return self._session.pulse

    # --- steering, from any thread ---

    def drain(self, grace_s: float) -> None:
        """Claim nothing more, hand back what has not started, give bodies `grace_s` to end, then finish `main`."""
        self.pulse.draining = True
        self._steering.drain(grace_s)

    def kill(self) -> None:
        """Finish `main` now: bodies are ended by force where that is possible, their invocations handed back."""
        self._steering.kill()

    # --- the loop ---

    def main(self) -> Op[None]:
        """Serve until `drain` or `kill`.

        Raises:
            StoreError: the very first session could not be opened for a reason that waiting does not mend.
        """
        self._executor.start()
        try:
            yield from self._session.open(first=True)
            while not (self._steering.killed or self._drain.is_over()):
                self.pulse.turned()
                self._runs.absorb(self._executor.poll())
                if self._steering.drain_grace_s is not None:
                    self._drain.begin(self._steering.drain_grace_s)
                self._runs.stop_overdue()
                yield from self._hand_back.hand_back()
                self._mind_bound()
                if self._session.exchange_due():
                    yield from self._session.exchange()
                elif self._drain.should_look_around():
                    yield from self._drain.look_around()
                else:
                    yield from self._nap()
        finally:
            self._hand_over()
            self._executor.close(0.0 if self._steering.killed else self._config.stop_grace_s)
        yield from self._session.close()

    def _hand_over(self) -> None:
        """Give up what still runs: it goes to others with the session."""
        left = self._runs.abandon_all()
        if left:
            logger.warning("%s hands over %d that did not end", self._name, left)

    def _mind_bound(self) -> None:
        """Hand back what has not begun when the bound of waiting bodies is reached, and ask for work anew."""
        if self._bound.crossed():
            if self._bound.reached and self._executor.spare() < 0:
                self._executor.recall(older_than_s=0.0)
            self._session.bound_crossed()

    def _nap(self) -> Op[None]:
        """Sleep until something happens or is due."""
        now_s = self._clock()
        moments = [
            self._runs.table.next_deadline_s(),
            self._executor.due_at_s(),
            self._drain.due_at_s(),
            self._hand_back.due_at_s(),
            self._session.due_at_s(now_s),
        ]
        until_s = min(moment for moment in moments if moment is not None)
        rang = yield from self._steering.sleep((self._executor.fileno(),), until_s - now_s)
        if rang:
            self._session.rang(line_was_cut=self._steering.line_was_cut())
