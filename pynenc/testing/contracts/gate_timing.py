"""Limits that change, rates, breakers."""

from __future__ import annotations

from typing import Any

import pytest

from pynenc.errors import InvalidGate
from pynenc.model.gates import (
    BreakerGate,
    GateMode,
    RateGate,
    RateSetting,
    SlotGate,
    SlotSetting,
)
from pynenc.model.ids import SessionId
from pynenc.model.records import (
    Crash,
    Failure,
    Retry,
)
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.gates import ONE, PARKED, TWO, GatedContract, done, ids_of
from pynenc.testing.contracts.store import SECOND_US, Store


class LiveLimitsContract(GatedContract):
    def test_a_raised_limit_lets_more_in(self, store: Store) -> None:
        ids = [store.submit(gates=(ONE,)) for _ in range(4)]
        runner = store.runner()
        store.claim(runner, want=5)

        self.put(store, SlotSetting("k", 3))

        assert ids_of(store.claim(runner, want=5)) == ids[1:3]

    def test_a_raised_limit_lets_several_lanes_out(self, store: Store) -> None:
        ids = [store.submit(gates=(ONE, SlotGate(key=f"{number}", limit=1))) for number in range(4)]
        runner = store.runner()
        store.claim(runner, want=9)

        self.put(store, SlotSetting("k", 3))
        statuses = [store.status(each) for each in ids[1:]]

        assert statuses == [InvocationStatus.REGISTERED, InvocationStatus.REGISTERED, PARKED]
        assert ids_of(store.claim(runner, want=9)) == ids[1:3]

    def test_a_lowered_limit_drives_nobody_out_but_lets_nobody_in(self, store: Store) -> None:
        runner = store.runner()
        first, second = (store.running(runner, gates=(TWO,)) for _ in range(2))
        waiting = store.submit(gates=(TWO,))

        self.put(store, SlotSetting("k", 1))
        store.succeed(first)
        between = store.claim(runner)
        store.succeed(second)

        assert between == []
        assert ids_of(store.claim(runner)) == [waiting]

    def test_a_limit_that_was_set_holds_until_it_is_cleared(self, store: Store) -> None:
        self.put(store, SlotSetting("k", 0))
        invocation = store.submit(gates=(TWO,))
        runner = store.runner()

        stopped = store.claim(runner)
        listed = store.perform(store.orchestrator.list_gates())
        cleared = [store.perform(store.orchestrator.clear_gate("slots:k")) for _ in range(2)]

        assert (stopped, listed, cleared) == ([], [SlotSetting("k", 0)], [True, False])
        assert ids_of(store.claim(runner)) == [invocation]

    def test_settings_that_make_no_sense_are_refused(self, store: Store) -> None:
        for setting in (SlotSetting("k", -1), RateSetting("k", 0, 1), RateSetting("k", 1, 0)):
            with pytest.raises(InvalidGate):
                self.put(store, setting)

        assert store.perform(store.orchestrator.list_gates()) == []

    def test_a_raised_rate_lets_what_waits_in_sooner(self, store: Store) -> None:
        runner = store.runner()
        store.running(runner, gates=(RateGate(key="k", interval_us=100 * SECOND_US),))
        waiting = store.submit(gates=(RateGate(key="k", interval_us=100 * SECOND_US),))
        assert store.claim(runner) == []

        self.put(store, RateSetting("k", 100 * SECOND_US, 2))

        assert ids_of(store.claim(runner)) == [waiting]


class RatesContract(GatedContract):
    RATE = RateGate(key="k", interval_us=SECOND_US, burst=2)

    def test_starts_come_in_a_burst_and_then_one_by_one(self, store: Store) -> None:
        ids = [store.submit(gates=(self.RATE,)) for _ in range(6)]
        runner = store.runner()

        waves = []
        for _ in range(3):
            waves.append(ids_of(store.claim(runner, want=10)))
            store.clock.advance(1)

        assert waves == [ids[:2], ids[2:3], ids[3:4]]

    def test_the_timer_of_a_gate_is_due_when_it_opens(self, store: Store) -> None:
        for _ in range(3):
            store.submit(gates=(self.RATE,))
        runner = store.runner()
        store.claim(runner, want=10)

        assert store.exchange(runner).next_due_us == SECOND_US
        store.clock.advance(1)
        assert store.tick() == 1
        assert store.tick() == 0

    def test_an_end_frees_nothing_and_each_attempt_counts(self, store: Store) -> None:
        runner = store.runner()
        gate = RateGate(key="k", interval_us=SECOND_US)
        claim = store.running(runner, gates=(gate,))

        store.settle(runner, done(Retry, claim, error=b""))
        between = store.claim(runner)
        store.clock.advance(1)

        assert between == []
        assert ids_of(store.claim(runner)) == [claim.invocation_id]

    def test_rates_may_reject(self, store: Store) -> None:
        gate = RateGate(key="k", interval_us=SECOND_US, mode=GateMode.REJECT)
        runner = store.runner()
        store.running(runner, gates=(gate,))
        rejected = store.submit(gates=(gate,))

        assert store.claim(runner) == []
        assert store.outcome(rejected).reason == "rate:k was closed"

    def test_an_explanation_tells_when_it_opens(self, store: Store) -> None:
        runner = store.runner()
        gate = RateGate(key="k", interval_us=3 * SECOND_US)
        store.running(runner, gates=(gate,))
        invocation = store.submit(gates=(gate,))
        store.clock.advance(1)

        (fact,) = self.facts(store, invocation)

        assert (fact.closed, fact.opens_at_us) == (True, store.clock() + 2 * SECOND_US)

    def test_going_on_after_a_wait_is_no_start(self, store: Store) -> None:
        runner = store.runner()
        waiter = store.running(runner, gates=(RateGate(key="k", interval_us=100 * SECOND_US),))
        child = store.submit()
        store.suspend(waiter, child)
        store.succeed(store.claim_one(runner))

        assert [each.invocation_id for each in store.resumed(runner)] == [waiter.invocation_id]


class BreakersContract(GatedContract):
    GATE = BreakerGate(key="task", failures=2, open_for_us=5 * SECOND_US)

    def fail(self, store: Store, runner: SessionId, kind: Any = Failure) -> None:
        claim = store.running(runner, gates=(self.GATE,))
        fields = {} if kind is Crash else {"error": b""}
        store.settle(runner, done(kind, claim, **fields))

    def test_failures_in_a_row_close_it_and_time_lets_one_trial_run_in(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner)
        ids = [store.submit(gates=(self.GATE,)) for _ in range(3)]

        closed = store.claim(runner, want=5)
        store.clock.advance(5)
        trial = store.claim(runner, want=5)
        store.succeed(trial[0])

        assert closed == []
        assert ids_of(trial) == ids[:1]
        assert ids_of(store.claim(runner, want=5)) == ids[1:]

    def test_a_trial_run_that_fails_closes_it_again(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner)
        since_us = store.clock()
        ids = [store.submit(gates=(self.GATE,)) for _ in range(2)]
        store.clock.advance(5)
        trial = store.claim_one(runner)

        store.settle(runner, done(Failure, trial, error=b""))
        (fact,) = self.facts(store, ids[1])
        between = store.claim(runner)
        store.clock.advance(5)

        assert between == []
        assert (fact.failures, fact.open_since_us, fact.opens_at_us) == (3, since_us, store.clock())
        assert ids_of(store.claim(runner, want=5)) == ids[1:]

    def test_a_trial_run_that_is_lost_lets_another_one_in(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner)
        invocation = store.submit(gates=(self.GATE,))
        store.clock.advance(5)
        store.claim_one(runner)

        store.expire_sessions()

        assert ids_of(store.claim(store.runner(), want=5)) == [invocation]

    def test_a_success_between_starts_the_count_anew(self, store: Store) -> None:
        runner = store.runner()
        self.fail(store, runner)
        store.succeed(store.running(runner, gates=(self.GATE,)))
        self.fail(store, runner)

        assert len(store.claim(runner)) == 0
        store.running(runner, gates=(self.GATE,))

    @pytest.mark.parametrize("kind", [Retry, Crash])
    def test_failed_attempts_count_whether_or_not_they_are_repeated(self, store: Store, kind: Any) -> None:
        runner = store.runner()
        self.fail(store, runner)
        self.fail(store, runner, kind)

        assert store.claim(runner) == []

    def test_what_began_before_it_closed_decides_nothing(self, store: Store) -> None:
        runner = store.runner()
        early = store.running(runner, gates=(self.GATE,))
        self.fail(store, runner)
        self.fail(store, runner)
        store.submit(gates=(self.GATE,))

        store.succeed(early)

        assert store.claim(runner) == []
