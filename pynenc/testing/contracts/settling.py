"""What the ends of runs promise."""

from __future__ import annotations

import pytest

from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import (
    Cancelled,
    Completion,
    Crash,
    Failure,
    ProgressNote,
    Release,
    Retry,
    Started,
    Success,
    Verdict,
)
from pynenc.model.status import InvocationStatus, Reason, State
from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract


class SettlingContract(StoreContract):
    def test_success_writes_the_outcome(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)
        store.clock.advance(3)

        assert store.succeed(claim, b"42").verdict is Verdict.ACCEPTED

        outcome = store.outcome(claim.invocation_id)
        assert (outcome.status, outcome.payload, outcome.attempt) == (InvocationStatus.SUCCESS, b"42", 1)
        assert (outcome.session, outcome.epoch, outcome.worker) == (runner, claim.epoch, 1)
        assert outcome.ended_at_us - (outcome.started_at_us or 0) == 3 * SECOND_US
        assert store.snapshot(claim.invocation_id).control is None

    def test_a_run_that_was_never_reported_started_tells_how_long_it_took(self, store: Store) -> None:
        runner = store.runner()
        store.submit()
        claim = store.claim_one(runner)
        store.clock.advance(5)
        done = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"", ran_us=2 * SECOND_US, worker=9)
        store.settle(runner, done)

        outcome = store.outcome(claim.invocation_id)
        assert outcome.started_at_us == outcome.ended_at_us - 2 * SECOND_US
        assert outcome.worker == 9

    def test_failure_and_cancellation_end_with_their_reasons(self, store: Store) -> None:
        runner = store.runner()
        failed, cancelled = store.running(runner), store.running(runner)
        store.settle(
            runner,
            Failure(invocation_id=failed.invocation_id, epoch=failed.epoch, error=b"error", reason="why"),
            Cancelled(invocation_id=cancelled.invocation_id, epoch=cancelled.epoch, detail="enough"),
        )

        one, two = store.outcome(failed.invocation_id), store.outcome(cancelled.invocation_id)
        assert (one.status, one.payload, one.reason) == (InvocationStatus.FAILED, b"error", "why")
        assert (two.status, two.reason) == (InvocationStatus.CANCELLED, "enough")

    def test_a_repeated_completion_is_recognised(self, store: Store) -> None:
        claim = store.running(store.runner())
        store.succeed(claim, b"first")

        assert store.succeed(claim, b"second").verdict is Verdict.ALREADY
        assert store.outcome(claim.invocation_id).payload == b"first"

    @pytest.mark.parametrize("kind", ["success", "failure", "cancelled", "retry", "release", "crash"])
    def test_nothing_is_accepted_from_a_superseded_owner(self, store: Store, kind: str) -> None:
        old = store.runner(name="old")
        claim = store.running(old)
        store.expire_sessions()
        new = store.runner(name="new")
        again = store.claim_one(new)
        fresh = store.runner(name="fresh")

        for session, epoch in ((new, claim.epoch), (fresh, again.epoch)):
            assert store.settle(session, self._done(kind, claim.invocation_id, epoch))[0].verdict is Verdict.STALE

        assert store.control(claim.invocation_id).owner == new
        assert store.succeed(again).verdict is Verdict.ACCEPTED

    def _done(self, kind: str, invocation_id: bytes, epoch: Epoch) -> Completion:
        kinds: dict[str, tuple[type, dict[str, bytes]]] = {
            "success": (Success, {"result": b""}),
            "failure": (Failure, {"error": b""}),
            "cancelled": (Cancelled, {}),
            "retry": (Retry, {"error": b""}),
            "release": (Release, {}),
            "crash": (Crash, {}),
        }
        cls, fields = kinds[kind]
        done: Completion = cls(invocation_id=invocation_id, epoch=epoch, **fields)
        return done

    def test_a_late_completion_is_accepted_while_nobody_has_recovered_it(self, store: Store) -> None:
        claim = store.running(store.runner())
        store.clock.advance(3_600)

        assert store.succeed(claim).verdict is Verdict.ACCEPTED

    def test_a_retry_runs_again_at_once_and_counts(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)
        store.settle(runner, Retry(invocation_id=claim.invocation_id, epoch=claim.epoch, error=b"e"))

        assert store.status(claim.invocation_id) is InvocationStatus.RETRY
        again = store.claim_one(runner)
        assert (again.epoch, again.attempt) == (2, 2)
        row = store.snapshot(claim.invocation_id).attempts[0]
        assert (row.number, row.reason, row.error, row.worker) == (1, Reason.RETRY, b"e", 1)

    def test_a_delayed_retry_waits_in_the_store(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)
        store.settle(
            runner,
            Retry(invocation_id=claim.invocation_id, epoch=claim.epoch, error=b"e", delay_us=4 * SECOND_US),
        )

        assert store.control(claim.invocation_id).state is State.BLOCKED
        assert store.claim(runner) == []
        assert store.status(claim.invocation_id) is InvocationStatus.RETRY
        store.clock.advance(4)
        assert store.claim_one(runner).attempt == 2

    def test_a_release_does_not_count(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)
        store.settle(runner, Release(invocation_id=claim.invocation_id, epoch=claim.epoch, detail="drain"))

        assert store.status(claim.invocation_id) is InvocationStatus.REROUTED
        again = store.claim_one(runner)
        assert (again.epoch, again.attempt, again.crashes) == (2, 1, 0)

    def test_crashes_count_apart_and_end_a_poison_task(self, store: Store) -> None:
        runner = store.runner()
        store.submit(max_crashes=2)
        for crashes in (0, 1, 2):
            claim = store.claim_one(runner)
            assert (claim.attempt, claim.crashes) == (1, crashes)
            store.settle(runner, Crash(invocation_id=claim.invocation_id, epoch=claim.epoch, detail="signal SIGSEGV"))

        outcome = store.outcome(claim.invocation_id)
        assert outcome.status is InvocationStatus.FAILED
        assert outcome.reason == "worker died 3 times, last: signal SIGSEGV"

    def test_a_stale_start_is_ignored(self, store: Store) -> None:
        runner = store.runner()
        store.submit()
        claim = store.claim_one(runner)

        store.exchange(runner, started=(Started(claim.invocation_id, Epoch(claim.epoch + 1), 5),))

        assert store.control(claim.invocation_id).started_at_us is None

    def test_the_latest_progress_is_kept_and_fenced(self, store: Store) -> None:
        runner, other = store.runner(), store.runner()
        claim = store.running(runner)
        store.exchange(runner, progress=(ProgressNote(claim.invocation_id, claim.epoch, b"one"),))
        store.exchange(runner, progress=(ProgressNote(claim.invocation_id, claim.epoch, b"two"),))
        store.exchange(other, progress=(ProgressNote(claim.invocation_id, claim.epoch, b"forged"),))

        assert store.snapshot(claim.invocation_id).progress == b"two"

    def test_progress_that_rides_with_the_end_of_its_run_is_kept(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)

        store.exchange(
            runner,
            completions=(Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b""),),
            progress=(ProgressNote(claim.invocation_id, claim.epoch, b"last"),),
        )

        assert store.snapshot(claim.invocation_id).progress == b"last"

    def test_one_bad_completion_does_not_stop_the_others(self, store: Store) -> None:
        runner = store.runner()
        good = store.running(runner)
        other = InvocationId(good.invocation_id[:15] + bytes([good.invocation_id[15] ^ 1]))
        unknown = Success(invocation_id=other, epoch=Epoch(1), result=b"")
        fine = Success(invocation_id=good.invocation_id, epoch=good.epoch, result=b"")

        verdicts = store.settle(runner, unknown, fine)

        assert [each.verdict for each in verdicts] == [Verdict.STALE, Verdict.ACCEPTED]
