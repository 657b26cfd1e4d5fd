"""How much work to ask for."""

from __future__ import annotations

_SHORTEST_RUN_S = 50e-6
"""Below this the work around a body outweighs it."""
_LONG_IN_ROUND_TRIPS = 20
_HEADROOM = 1.5
_WEIGHT = 0.1


class Claimer:
    """Decides how many invocations an exchange asks for, and whether it registers for the doorbell.

    Asks for the free slots, and ahead of them for about as many bodies as the slots complete during one
    round trip to the store, as long as bodies are short: whoever claims long work ahead keeps others from it.
    """

    def __init__(self, *, slots: int, prefetch: bool, most: int) -> None:
        self.slots = slots
        """How many bodies run at a time; may change."""
        self._prefetch = prefetch
        self._most = most
        self._mean_run_s: float | None = None
        self._round_trip_s = 0.0
        self._paused = False
        self._satisfied = True
        self._listening = False

    def ran(self, ran_us: int) -> None:
        """Take the length of a run into account."""
        ran_s = ran_us / 1e6
        mean = self._mean_run_s
        self._mean_run_s = ran_s if mean is None else mean + _WEIGHT * (ran_s - mean)
        self._paused = False

    def exchanged(self, took_s: float) -> None:
        """Take the length of a round trip into account."""
        trip = self._round_trip_s
        self._round_trip_s = took_s if trip == 0.0 else trip + _WEIGHT * (took_s - trip)

    def pause_prefetch(self) -> None:
        """Claim nothing ahead until another run is over: what was claimed ahead had to be handed back."""
        self._paused = True

    def ahead(self) -> int:
        """Return how many invocations to have in hand beyond the free slots."""
        mean = self._mean_run_s
        if not self._prefetch or self._paused or mean is None:
            return 0
        if mean > _LONG_IN_ROUND_TRIPS * self._round_trip_s:
            return 0
        bodies = self.slots * self._round_trip_s * _HEADROOM / max(mean, _SHORTEST_RUN_S)
        return min(self._most, int(bodies))

    def want(self, spare: int) -> int:
        """Return how many invocations to ask for when `spare` more could start at once."""
        return max(0, min(self._most, spare + self.ahead()))

    @property
    def is_listening(self) -> bool:
        """Whether the doorbell rings for what comes: nothing was left when it was registered for."""
        return self._listening

    def answered(self, *, asked: int, got: int, registered: bool) -> None:
        """Note what came of an exchange that asked for `asked` and, if `registered`, for the doorbell."""
        self._satisfied = got >= asked
        self._listening = registered and not self._satisfied

    def should_ask(self, spare: int) -> bool:
        """Whether an exchange only for more work makes sense now: it may find some, or nobody would ring us."""
        if self._satisfied and self.want(spare) > 0:
            return True
        return spare > 0 and not self._listening

    def reset(self) -> None:
        """Note that a new session began: it asks for work and is not registered."""
        self._satisfied = True
        self._listening = False
