"""What sessions and their recovery promise."""

from __future__ import annotations

import pytest
from msgspec import structs

from pynenc.errors import SessionGone
from pynenc.model.ids import SessionId
from pynenc.model.records import SessionInfo, SessionKind, Verdict
from pynenc.model.status import InvocationStatus, Reason, State
from pynenc.testing.contracts.store import LEASE_US, SECOND_US, Store, StoreContract


class SessionsContract(StoreContract):
    def test_numbers_are_never_handed_out_again(self, store: Store) -> None:
        first = store.runner()
        store.perform(store.orchestrator.close_session(first))

        assert store.runner() > first

    def test_a_session_lives_as_long_as_it_exchanges(self, store: Store) -> None:
        runner = store.runner()
        for _ in range(5):
            store.clock.advance(LEASE_US / SECOND_US - 1)
            store.exchange(runner)
            store.tick()

        assert [row.session for row in store.perform(store.orchestrator.list_sessions())] == [runner]

    def test_an_expired_session_is_gone_and_its_work_is_ready(self, store: Store) -> None:
        runner = store.runner()
        started = store.running(runner)
        store.submit()
        pending = store.claim_one(runner)
        store.expire_sessions()

        with pytest.raises(SessionGone):
            store.exchange(runner)
        assert store.status(started.invocation_id) is InvocationStatus.RUNNING_RECOVERY
        assert store.status(pending.invocation_id) is InvocationStatus.PENDING_RECOVERY
        assert store.control(started.invocation_id).crashes == 1
        assert store.control(pending.invocation_id).crashes == 0
        assert store.perform(store.orchestrator.list_owned(runner)) == []

    def test_recovered_work_runs_under_a_new_epoch(self, store: Store) -> None:
        old = store.running(store.runner())
        store.expire_sessions()

        again = store.claim_one(store.runner())

        assert (again.invocation_id, again.epoch, again.attempt) == (old.invocation_id, old.epoch + 1, 1)

    def test_a_body_that_takes_every_runner_down_fails(self, store: Store) -> None:
        invocation = store.submit(max_crashes=1)
        for _ in range(2):
            store.start(store.claim_one(store.runner()))
            store.expire_sessions()

        outcome = store.outcome(invocation)
        assert (outcome.status, outcome.reason) == (
            InvocationStatus.FAILED,
            "worker died 2 times, last: runner lost",
        )

    def test_an_expired_session_that_nobody_recovered_goes_on(self, store: Store) -> None:
        claim = store.running(store.runner())
        store.clock.advance(100)

        assert store.succeed(claim).verdict is Verdict.ACCEPTED

    def test_any_session_recovers_the_others_on_the_way(self, store: Store) -> None:
        lost = store.running(store.runner())
        store.clock.advance(LEASE_US / SECOND_US - 1)
        healthy = store.runner()
        store.clock.advance(1)

        claims = store.exchange(healthy, want=1).claims

        assert [claim.invocation_id for claim in claims] == [lost.invocation_id]

    def test_closing_hands_everything_back_uncounted(self, store: Store) -> None:
        runner = store.runner()
        running = store.running(runner)
        parent = store.running(runner)
        store.suspend(parent, running.invocation_id)
        store.perform(store.orchestrator.close_session(runner))

        for invocation_id in (running.invocation_id, parent.invocation_id):
            control = store.control(invocation_id)
            assert (control.state, control.reason, control.attempt, control.crashes) == (
                State.READY,
                Reason.RELEASED,
                0,
                0,
            )

    def test_closing_twice_or_something_unknown_is_no_error(self, store: Store) -> None:
        runner = store.runner()
        for session in (runner, runner, SessionId(99)):
            store.perform(store.orchestrator.close_session(session))

        assert store.perform(store.orchestrator.list_sessions()) == []
        assert [row.session for row in store.perform(store.orchestrator.list_sessions(live_only=False))] == [runner]

    def test_what_a_session_owns_is_listed_by_id(self, store: Store) -> None:
        runner = store.runner()
        suspended = store.running(runner)
        store.suspend(suspended, store.submit(delay_us=SECOND_US))
        owned = store.running(runner)
        store.perform(store.orchestrator.cancel([owned.invocation_id]))

        listed = store.perform(store.orchestrator.list_owned(runner))

        assert [(each.invocation_id, each.epoch, each.state, each.cancel_requested) for each in listed] == [
            (suspended.invocation_id, suspended.epoch, State.SUSPENDED, False),
            (owned.invocation_id, owned.epoch, State.OWNED, True),
        ]

    def test_sessions_tell_how_busy_they_are(self, store: Store) -> None:
        runner = store.runner(name="busy", slots=4)
        parent = store.running(runner)
        store.running(runner)
        store.suspend(parent, store.submit(delay_us=SECOND_US))

        row = store.perform(store.orchestrator.list_sessions())[0]

        assert (row.info.name, row.info.slots, row.owned, row.running) == ("busy", 4, 2, 1)

    def test_a_session_tells_how_many_slots_it_has_now(self, store: Store) -> None:
        info = SessionInfo(kind=SessionKind.RUNNER, name="grows", host="host", pid=1, slots=1, most_slots=4)
        runner = store.perform(store.orchestrator.open_session(info, lease_us=LEASE_US))
        store.submit()
        store.exchange(runner, info=structs.replace(info, slots=3), want=1)
        grown = self._info(store)
        store.exchange(runner)
        unchanged = self._info(store)
        store.exchange(runner, info=structs.replace(info, slots=2))

        assert (grown, unchanged) == (structs.replace(info, slots=3),) * 2
        assert self._info(store) == structs.replace(info, slots=2)

    def _info(self, store: Store) -> SessionInfo:
        (row,) = store.perform(store.orchestrator.list_sessions())
        return row.info

    def test_next_due_is_the_earliest_timer_or_lease(self, store: Store) -> None:
        runner = store.runner()
        assert store.exchange(runner).next_due_us == LEASE_US
        store.submit(delay_us=3 * SECOND_US)

        assert store.exchange(runner).next_due_us == 3 * SECOND_US

    def test_a_budget_bounds_a_tick_and_more_says_so(self, store: Store) -> None:
        for _ in range(5):
            store.submit(delay_us=SECOND_US)
        store.clock.advance(1)

        first = store.perform(store.orchestrator.tick(budget=2))
        second = store.perform(store.orchestrator.tick(budget=10))

        assert (first.handled, first.more) == (2, True)
        assert (second.handled, second.more) == (3, False)

    def test_an_ended_session_is_forgotten_with_the_last_history_that_may_name_it(self, store: Store) -> None:
        ended = store.runner()
        kept = store.submit()
        store.perform(store.orchestrator.close_session(ended))

        self._two_days_and_one_retention_later(store)
        while_history_may_name_it = self._known(store)
        store.perform(store.orchestrator.cancel([kept]))
        store.perform(store.state.purge([kept]))
        self._two_days_and_one_retention_later(store)

        assert while_history_may_name_it == [ended]
        assert self._known(store) == []
        with pytest.raises(SessionGone):
            store.exchange(ended)
        assert store.runner() > ended

    def _known(self, store: Store) -> list[SessionId]:
        return [row.session for row in store.perform(store.orchestrator.list_sessions(live_only=False))]

    def _two_days_and_one_retention_later(self, store: Store) -> None:
        store.clock.advance(2 * 86_400)
        brief = store.submit(retention_us=SECOND_US)
        store.perform(store.orchestrator.cancel([brief]))
        store.clock.advance(1)
        store.tick()
        assert store.status(brief) is None
