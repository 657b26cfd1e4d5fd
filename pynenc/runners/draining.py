"""The end of a runner in good order: what it has ends here, or goes to others uncounted.

States: serving -> draining -> over. A drain is over
* when nothing is left, or no session that could own anything;
* when its grace period has passed: bodies that still run are handed over;
* when all that is left waits, and nobody else is there to run what it waits for. A draining runner claims nothing, so
  the rest of the grace period would pass for nothing. A parent that is handed over finds its children again where it
  runs next, by their ids. With other runners about it keeps its stack for the grace period and may well end here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pynenc.io import Op
from pynenc.ports.executor import Executor
from pynenc.runners.run_keeper import RunKeeper
from pynenc.runners.store_session import StoreSession

logger = logging.getLogger(__name__)


class Drain:
    """Whether a runner that was told to stop may end by now.

    Args:
        executor: gives back what has not started.
        runs: what is left.
        session: knows what is still to be told to the store.
        clock: monotonic seconds.
        look_every_s: how often to look for other runners.
        name: of the runner, for people.
    """

    def __init__(
        self,
        executor: Executor,
        runs: RunKeeper,
        session: StoreSession,
        clock: Callable[[], float],
        *,
        look_every_s: float,
        name: str,
    ) -> None:
        self._executor = executor
        self._runs = runs
        self._session = session
        self._clock = clock
        self._look_every_s = look_every_s
        self._name = name
        self._until_s: float | None = None
        self._look_at_s = clock()
        self._alone = False

    def begin(self, grace_s: float) -> None:
        """Hand back what has not started, and give the rest `grace_s`; repeating changes nothing."""
        if self._until_s is not None:
            return
        self._until_s = self._clock() + grace_s
        coming_back = self._executor.recall(older_than_s=0.0)
        logger.info(
            "%s drains: %d unstarted are handed back, %d have up to %g s",
            self._name,
            coming_back,
            len(self._runs.table) - coming_back,
            grace_s,
        )

    def is_over(self) -> bool:
        """Whether nothing is left that time would mend."""
        if self._until_s is None:
            return False
        # Without a session nothing is owned and nothing can be sent.
        idle = not self._session.is_open or not (self._runs.table or self._session.has_unsent)
        return idle or self._alone or self._clock() >= self._until_s

    def due_at_s(self) -> float | None:
        """Return when to come back even if nothing happens."""
        if self._until_s is None:
            return None
        return min(self._until_s, self._look_at_s) if self._may_be_alone() else self._until_s

    def should_look_around(self) -> bool:
        """Whether it is time to see if there are other runners."""
        return self._until_s is not None and self._clock() >= self._look_at_s and self._may_be_alone()

    def _may_be_alone(self) -> bool:
        return not self._session.in_trouble and self._runs.only_wait()

    def look_around(self) -> Op[None]:
        """See if there are other runners; a store that does not answer leaves that open."""
        self._look_at_s = self._clock() + self._look_every_s
        try:
            self._alone = not (yield from self._session.other_runners())
        except Exception as error:  # noqa: BLE001 - whatever it is, bodies keep their time
            logger.debug("%s cannot see whether it is alone: %s", self._name, error)
