"""A store with something of everything in it: what a move has to carry."""

from __future__ import annotations

from typing import Any

from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    AfterPolicy,
    Claim,
    Dedupe,
    DedupePhase,
    Failure,
    Fence,
    ProgressNote,
    Retry,
    SubmitVerdict,
)
from pynenc.testing.contracts.store import SECOND_US, Store, submission

HOUR_US = 3_600 * SECOND_US
DATA_KEY, LARGE_KEY = b"a" * 32, bytes(range(32))
HELD_KEY, KEPT_KEY, FREE_KEY = b"held", b"kept", b"free"
PAUSED, FOREIGN = "paused", "rust:default"


def populate(store: Store) -> None:
    """Fill the store, and leave it without a live session."""
    for fill in (_data, _waiting, _finished, _interrupted, _family, _keyed, _queues):
        fill(store)
    store.expire_sessions()


def _data(store: Store) -> None:
    put = store.backend.client_data_store.put
    store.perform(put(DATA_KEY, b"small"))
    store.clock.advance(5)
    store.perform(put(LARGE_KEY, bytes(range(256)) * 4_000))


def _waiting(store: Store) -> None:
    first = store.submit(arguments=bytes(range(256)), policy=b"policy", meta=b"meta")
    store.submit(band=7, task_id="tests.urgent")
    store.submit(key=(1 << 43) - 1, band=200)
    store.submit(delay_us=HOUR_US, expires_us=2 * HOUR_US)
    store.submit(expires_us=3 * HOUR_US, retention_us=HOUR_US, max_crashes=1)
    second = store.submit(after=(first,), delay_us=HOUR_US)
    store.submit(after=(first, second), after_policy=AfterPolicy.ALL_DONE)
    store.submit(after=(first, second), after_policy=AfterPolicy.SUCCEEDED_OR_FAIL, after_need=1)


def _finished(store: Store) -> None:
    runner = store.runner(name="finisher")
    store.succeed(_begin(store, runner, retention_us=9 * HOUR_US), b"a result")
    failed = _begin(store, runner)
    error = b"\x00\xff error"
    store.settle(runner, Failure(invocation_id=failed.invocation_id, epoch=failed.epoch, error=error, reason="broken"))
    store.perform(store.orchestrator.cancel([store.submit()], detail="nobody wants it: ünïcode"))
    store.submit(expires_us=SECOND_US)
    requeued = _begin(store, runner)
    store.succeed(requeued)
    store.perform(store.orchestrator.requeue([requeued.invocation_id]))
    store.clock.advance(2)
    store.tick()
    store.perform(store.orchestrator.close_session(runner))


def _begin(store: Store, runner: SessionId, **fields: Any) -> Claim:
    """Submit, claim and start one invocation, whatever else waits."""
    return _go_on(store, runner, store.submit(**fields))


def _go_on(store: Store, runner: SessionId, invocation_id: InvocationId) -> Claim:
    claim = store.perform(store.orchestrator.claim_ids(runner, [invocation_id]))[0].claim
    assert claim is not None
    store.start(claim)
    return claim


def _interrupted(store: Store) -> None:
    """Retried, lost with its runner, claimed but not begun, and waiting when its runner went."""
    runner = store.runner(name="interrupted")
    retried = _begin(store, runner)
    for attempt in range(3):
        store.settle(
            runner,
            Retry(
                invocation_id=retried.invocation_id,
                epoch=retried.epoch,
                error=b"error %d" % attempt,
                delay_us=SECOND_US,
            ),
        )
        if attempt < 2:
            store.clock.advance(1)
            store.tick()
            retried = _go_on(store, runner, retried.invocation_id)
    lost = _begin(store, runner)
    note = ProgressNote(lost.invocation_id, lost.epoch, b"half way")
    store.exchange(runner, progress=(note,))
    store.perform(store.orchestrator.claim_ids(runner, [store.submit()]))
    parent = _begin(store, runner)
    child = store.submit(parent=Fence(runner, parent.invocation_id, parent.epoch))
    store.suspend(parent, child)


def _family(store: Store) -> None:
    runner = store.runner(name="parent")
    parent = _begin(store, runner)
    for _ in range(3):
        store.submit(parent=Fence(runner, parent.invocation_id, parent.epoch))
    store.submit(parent_id=parent.invocation_id, delay_us=HOUR_US)
    store.succeed(parent)


def _keyed(store: Store) -> None:
    runner = store.runner(name="keyed")
    store.submit(dedupe=Dedupe(HELD_KEY, DedupePhase.UNTIL_FINAL), delay_us=HOUR_US)
    store.succeed(_begin(store, runner, dedupe=Dedupe(KEPT_KEY, DedupePhase.UNTIL_PURGED)))
    store.succeed(_begin(store, runner, dedupe=Dedupe(FREE_KEY, DedupePhase.UNTIL_CLAIMED)))


def _queues(store: Store) -> None:
    store.submit(queue=PAUSED)
    store.submit(queue=FOREIGN, language="rust")
    store.perform(store.orchestrator.pause(PAUSED, by="anna@ops", reason="moving"))
    store.perform(store.orchestrator.pause("never used"))


def run_to_the_end(store: Store) -> list[InvocationId]:
    """Resume all queues and complete everything that is left; return what ran, in order."""
    for queue in (PAUSED, "never used"):
        store.perform(store.orchestrator.resume(queue))
    ran: list[InvocationId] = []
    runner = store.runner(name="last")
    for _ in range(1_000):
        claims = store.claim(runner, want=50, queues=("default", PAUSED, FOREIGN))
        for claim in claims:
            store.succeed(claim)
        ran += [claim.invocation_id for claim in claims]
        due_us = store.exchange(runner, tick_budget=100).next_due_us
        if not claims:
            if not _is_waiting(store):
                break
            assert due_us is not None, "something waits for nothing"
            store.clock.advance(600)
    store.perform(store.orchestrator.close_session(runner))
    return ran


def _is_waiting(store: Store) -> bool:
    return any(stats.ready or stats.delayed for stats in store.perform(store.orchestrator.queue_stats()))


def holds(store: Store, key: bytes) -> bool:
    """Whether a submission with this key is answered with the one that has it."""
    (reply,) = store.submit_items(submission(dedupe=Dedupe(key, DedupePhase.UNTIL_FINAL)))
    return reply.verdict is SubmitVerdict.DEDUPED
