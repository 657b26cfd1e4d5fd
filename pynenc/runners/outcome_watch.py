"""Outcomes that coroutines await while others of their run go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Outcome
from pynenc.ports.executor import Observation

RunKey = tuple[InvocationId, Epoch]


class OutcomeWatch:
    """Who awaits what. The store is asked once per awaited id; what it says goes to everyone who awaits it."""

    def __init__(self) -> None:
        self._watchers: dict[InvocationId, set[RunKey]] = {}
        self._awaited: dict[RunKey, set[InvocationId]] = {}
        self._unasked: list[InvocationId] = []

    def change(self, run: RunKey, waits: Iterable[InvocationId]) -> None:
        """Note that `run` awaits exactly these now."""
        wanted = set(waits)
        known = self._awaited.get(run, set())
        for invocation_id in known - wanted:
            self._forget(run, invocation_id)
        for invocation_id in wanted - known:
            self._watchers.setdefault(invocation_id, set()).add(run)
            # Asked even if another run watches it: its notice may be on its way already.
            self._unasked.append(invocation_id)
        if wanted:
            self._awaited[run] = wanted
        else:
            self._awaited.pop(run, None)

    @property
    def in_use(self) -> bool:
        """Whether anybody awaits anything."""
        return bool(self._awaited)

    def awaited_by(self, run: RunKey) -> Iterable[InvocationId]:
        """Return what `run` awaits."""
        return self._awaited.get(run, ())

    def drop(self, run: RunKey) -> None:
        """Forget a run that ended."""
        if run in self._awaited:
            self.change(run, ())

    def clear(self) -> None:
        """Forget everything."""
        self._watchers.clear()
        self._awaited.clear()
        self._unasked.clear()

    def ask_again(self) -> None:
        """Ask about everything: notices may have been lost."""
        self._unasked = list(self._watchers)

    @property
    def unasked(self) -> Sequence[InvocationId]:
        """Ids the store was not asked about yet."""
        return self._unasked

    def asked(self, count: int) -> None:
        """Note that the store answered for the first `count` of `unasked`."""
        del self._unasked[:count]

    def arrived(self, outcomes: Iterable[Outcome], unknown: Iterable[InvocationId] = ()) -> list[Observation]:
        """Return who is to be told of these, and forget that they await them."""
        observations = [
            Observation(*run, outcomes=(outcome,)) for outcome in outcomes for run in self._take(outcome.invocation_id)
        ]
        observations += [Observation(*run, unknown=(missing,)) for missing in unknown for run in self._take(missing)]
        return observations

    def _take(self, invocation_id: InvocationId) -> set[RunKey]:
        runs = self._watchers.pop(invocation_id, set())
        for run in runs:
            self._awaited[run].discard(invocation_id)
        return runs

    def _forget(self, run: RunKey, invocation_id: InvocationId) -> None:
        runs = self._watchers.get(invocation_id)
        if runs is not None:
            runs.discard(run)
            if not runs:
                del self._watchers[invocation_id]
