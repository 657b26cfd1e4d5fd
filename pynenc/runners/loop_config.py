"""How a control loop behaves."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from pynenc.runners.queue_turns import QueueOrder
from pynenc.runners.wait_bound import ParkLimits


def never(queue: str) -> bool:
    """Return False, whatever the queue."""
    return False


class LoopConfig(Struct, frozen=True, kw_only=True):
    """Numbers of one runner. Durations in seconds."""

    lease_s: float = 10.0
    """The session ends so long after its last exchange; the heartbeat is a third of it."""
    queues: tuple[str, ...] = ()
    """Queues to claim from; () means every queue of `language`."""
    queue_limits: dict[str, int] = {}
    """Most bodies at a time of some of `queues`."""
    queue_order: QueueOrder = QueueOrder.BY_RANK
    """How to choose among `queues`; another order than by rank needs at least two of them."""
    inherits: Callable[[str], bool] = never
    """Whether what a body of a queue waits for goes before it: see `Scheduler.inherits`."""
    language: str = "python"
    prefetch: bool = True
    """Whether to claim more than there are free slots when bodies are much shorter than a round trip."""
    max_claim: int = 256
    """Most invocations in one exchange, and most that are claimed ahead."""
    max_settle: int = 256
    """Most completions in one exchange."""
    park_limits: ParkLimits = ParkLimits(bodies=64, stacks=64)
    """So many bodies may wait for others before it claims only what the first of them need."""
    tick_budget: int = 32
    report_after_s: float = 0.05
    """A body that runs so long is reported as started; a shorter one only by its completion."""
    stuck_s: float = 0.1
    """A claim that did not start within this time goes back to the store if another runner has a free slot."""
    unstarted_most_s: float = 1.0
    """A claim that did not start within this time goes back to the store: somebody may come for it."""
    stop_grace_s: float = 5.0
    """Between asking a body to stop and ending it by force."""
    backoff_first_s: float = 0.05
    backoff_most_s: float = 5.0
