"""A move carries gates: what was set, what is known of rates and breakers, the units of those that keep them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pynenc.core.moving import Move
from pynenc.io import run
from pynenc.model.gates import BreakerGate, Flow, RateGate, SlotGate, SlotSetting
from pynenc.model.records import (
    Dedupe,
    DedupeMode,
    DedupePhase,
    Exchange,
    Failure,
    Retry,
    SubmitReply,
    SubmitVerdict,
)
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import SECOND_US, Store, submission
from tests.moving.words import content, pair, words

KINDS = ("memory", "sqlite", "redis", "redis-cluster", "postgresql")
PAIRS = [each for each in product(KINDS, KINDS) if each != ("postgresql", "postgresql")]

LIMITED = SlotGate(key="limited", limit=1)
ORDERED = SlotGate(key="ordered", limit=1, block_lane_on_retry=True)
RATED = RateGate(key="rated", interval_us=30 * SECOND_US)
BROKEN = BreakerGate(key="broken", failures=1, open_for_us=30 * SECOND_US)
THROTTLED = Dedupe(b"throttled", DedupePhase.FOR_A_WHILE, DedupeMode.RAISE, b"hash", 60 * SECOND_US)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_gates_move_and_stop_there_what_they_stopped_here(source: str, target: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with pair(source, target, tmp_path, clock) as (out, into):
        _fill(words(out, clock))
        before = content(out)

        Move(out, into).carry()

        assert content(into) == before
        assert run(into.orchestrator.verify()) == []
        store = words(into, clock)
        assert run(into.orchestrator.list_gates()) == [SlotSetting("limited", 2)]
        claims = store.claim(store.runner(), want=20)
        assert sorted(claim.arguments for claim in claims) == [b"free", b"one", b"two"]
        for claim in claims:
            store.succeed(claim)
        assert _again(store, b"hash") == SubmitReply(SubmitVerdict.DEDUPED, before[1][-1].snapshot.call.invocation_id)
        assert _again(store, b"other").verdict is SubmitVerdict.DIFFERENT
        clock.advance(30)
        later = store.claim(store.runner(), want=20)
        assert sorted(claim.arguments for claim in later) == [b"after the breaker", b"again", b"rated", b"three"]
        assert run(into.orchestrator.verify()) == []


def _fill(store: Store) -> None:
    """Leave something of everything behind, and nobody alive."""
    run(store.orchestrator.put_gate(SlotSetting("limited", 2)))
    runner = store.runner()
    store.submit(gates=(BROKEN,))
    store.submit(gates=(RATED,))
    store.submit(gates=(ORDERED,), arguments=b"again")
    broken, rated, ordered = store.claim(runner, want=3)
    failure = Failure(invocation_id=broken.invocation_id, epoch=broken.epoch, error=b"error")
    retry = Retry(invocation_id=ordered.invocation_id, epoch=ordered.epoch, error=b"error", delay_us=30 * SECOND_US)
    run(store.orchestrator.exchange(Exchange(session=runner, completions=(failure, retry))))
    store.succeed(rated)
    store.submit(gates=(BROKEN,), arguments=b"after the breaker")
    store.submit(gates=(RATED,), arguments=b"rated")
    store.submit(gates=(ORDERED,), arguments=b"behind it")
    for arguments in (b"one", b"two", b"three"):
        store.submit(gates=(LIMITED,), arguments=arguments)
    store.claim(runner, want=20)
    store.submit(flow=Flow("a", 3), arguments=b"free")
    store.submit(dedupe=THROTTLED, delay_us=60 * SECOND_US)
    run(store.orchestrator.close_session(runner))


def _again(store: Store, arguments_hash: bytes) -> SubmitReply:
    wish = Dedupe(b"throttled", DedupePhase.FOR_A_WHILE, DedupeMode.RAISE, arguments_hash, 60 * SECOND_US)
    return store.submit_items(submission(dedupe=wish))[0]
