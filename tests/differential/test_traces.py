"""Every store answers like the memory store and has the same state, whatever is asked of it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from pynenc.backends.memory import MemoryBackend
from pynenc.io import Op
from pynenc.testing.differential import Command, Difference, OpenStore, TraceClock, compare, shortest, traces
from tests.simulation.mutants import DISHONEST_MUTANTS

_TIMES = int(os.environ.get("PYNENC_TEST_TRACES") or 1)
"""So many times as many traces as in every run of the tests."""
_TRACES = {"sqlite": 150, "redis": 150}
_OTHER_TRACES = 40
"""Where each operation takes a server milliseconds."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900 * _TIMES)]


def _examine(
    reference: OpenStore, store: OpenStore, *, number: int, examples: int, gated: bool = False
) -> Difference | None:
    @settings(
        max_examples=_TIMES * examples,
        deadline=None,
        database=None,
        # `shortest` makes a difference small much sooner than Hypothesis does.
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        report_multiple_bugs=False,
    )
    @seed(number)
    @given(traces(gated=gated))
    def examine(trace: list[Command]) -> None:
        compare(trace, reference, store)

    try:
        examine()
    except Difference as found:
        return shortest(found, reference, store)
    return None


@pytest.mark.parametrize("number", range(2))
def test_random_traces_give_equal_replies_and_states(
    number: int, reference: OpenStore, store: OpenStore, store_name: str
) -> None:
    examples = _TRACES.get(store_name, _OTHER_TRACES)

    difference = _examine(reference, store, number=number, examples=examples)

    assert difference is None, str(difference)


@pytest.mark.parametrize("number", range(2))
def test_random_traces_with_gates_give_equal_replies_and_states(
    number: int, reference: OpenStore, store: OpenStore, store_name: str
) -> None:
    difference = _examine(reference, store, number=number, examples=_TRACES.get(store_name, _OTHER_TRACES), gated=True)

    assert difference is None, str(difference)


@pytest.mark.parametrize("number", range(2))
def test_gated_traces_never_break_the_structure(number: int, reference: OpenStore) -> None:
    difference = _examine(reference, _Verified, number=number, examples=60, gated=True)

    assert difference is None, str(difference)


class _Verified(MemoryBackend):
    """A store that looks at its own structure whenever somebody looks at its state."""

    def __init__(self, clock: TraceClock) -> None:
        super().__init__(clock=clock)

    def dump(self) -> Op[dict[str, Any]]:
        state = yield from super().dump()
        broken = yield from self.orchestrator.verify()
        return {**state, "broken": broken} if broken else state


@pytest.mark.parametrize("name", sorted(DISHONEST_MUTANTS))
def test_a_store_that_deviates_is_found_and_shown_as_a_program(
    name: str, reference: OpenStore, embedded_store: OpenStore
) -> None:
    with DISHONEST_MUTANTS[name].applied():
        difference = _examine(reference, embedded_store, number=1, examples=200)

    assert difference is not None
    assert "perform('orchestrator', 'submit', " in str(difference)
    assert "differ" in str(difference)
