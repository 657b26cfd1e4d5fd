"""One-line mistakes in the engine, each of which the simulator has to catch.

A mutant replaces a piece of the source of one function. Its code object is exchanged in place, so that everybody who
imported the function runs the mutant.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` becomes `new` in one function, named `module:function` or `module:Class.method`."""

    name: str
    where: str
    old: str
    new: str

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Break the engine for the length of a block."""
        function = self._function()
        sound = function.__code__
        function.__code__ = self._mutated(function)
        try:
            yield
        finally:
            function.__code__ = sound

    def _function(self) -> FunctionType:
        module_name, _, path = self.where.partition(":")
        found: Any = import_module(f"pynenc.{module_name}")
        for name in path.split("."):
            found = getattr(found, name)
        assert isinstance(found, FunctionType)
        return found

    def _mutated(self, function: FunctionType) -> CodeType:
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(self.old) == 1, f"{self.name}: {self.old!r} is in {self.where} {source.count(self.old)}x"
        namespace: dict[str, Any] = {}
        mutated = "from __future__ import annotations\n" + source.replace(self.old, self.new)
        exec(compile(mutated, f"<mutant {self.name}>", "exec"), dict(function.__globals__), namespace)  # noqa: S102
        changed: Callable[..., Any] = namespace[function.__name__]
        return changed.__code__


_MEMORY = "backends.memory."
_LIST = [
    # --- fences ---
    Mutant("drop_epoch_test", _MEMORY + "settling:owned_record", " or record.epoch != epoch", ""),
    Mutant(
        "accept_repeated_completion",
        _MEMORY + "settling:_not_owned",
        "Verdict.ALREADY if repeated else Verdict.STALE",
        "Verdict.ACCEPTED",
    ),
    Mutant(
        "claim_without_new_epoch", _MEMORY + "claiming:_take", "Epoch(record.epoch + 1)", "Epoch(max(1, record.epoch))"
    ),
    Mutant("claim_keeps_token", _MEMORY + "state:MemoryState._first_valid", "record.state is State.READY and ", ""),
    Mutant(
        "stale_parent_submits",
        _MEMORY + "submitting:_submit_one",
        "item.parent is not None and not holds(state, item.parent)",
        "False",
    ),
    Mutant("ended_session_goes_on", _MEMORY + "sessions:live_session", " or session.ended_at_us is not None", ""),
    # --- recovery ---
    Mutant("recovery_keeps_owner", _MEMORY + "ending:put_back", "    disown(state, record)\n", ""),
    Mutant(
        "recovery_forgets_suspended",
        _MEMORY + "sessions:recover",
        "_hand_back(state, record, Reason.RUNNER_LOST_RUNNING, now_us)",
        "pass",
    ),
    Mutant(
        "recovery_takes_the_living",
        _MEMORY + "ticking:_sessions",
        "session.expires_at_us <= now_us",
        "session.expires_at_us <= now_us + 300_000",
    ),
    Mutant("recovery_never", _MEMORY + "ticking:_sessions", "session.expires_at_us <= now_us", "False"),
    Mutant(
        "close_loses_work",
        _MEMORY + "sessions:close_session",
        "_hand_back(state, record, Reason.RELEASED, now_us)",
        "pass",
    ),
    Mutant("lease_not_renewed", _MEMORY + "sessions:live_session", "session.expires_at_us = ", "_ = "),
    Mutant("crash_not_counted", _MEMORY + "settling:crash", "record.crashes += 1", "record.crashes += 0"),
    Mutant("poison_never_ends", _MEMORY + "settling:crash", "record.crashes > record.max_crashes", "False"),
    Mutant("lost_attempt_stays_counted", _MEMORY + "sessions:_hand_back", "record.attempt -= 1", "record.attempt -= 0"),
    # --- queueing ---
    Mutant("retry_loses_token", _MEMORY + "ending:put_back", "    state.index(record, now_us)", "    pass"),
    Mutant(
        "release_counts_attempt",
        _MEMORY + "settling:_apply",
        "detail=done.detail)\n            record.attempt -= 1",
        "detail=done.detail)\n            record.attempt -= 0",
    ),
    Mutant("retry_forgets_delay", _MEMORY + "ending:put_back", "if delay_us > 0:", "if False:"),
    Mutant("submit_not_idempotent", _MEMORY + "submitting:_submit_one", "item.invocation_id in state.calls", "False"),
    Mutant(
        "nobody_is_woken",
        _MEMORY + "state:MemoryState.wake_for",
        "if session.idle and",
        "if queue is None and session.idle and",
    ),
    Mutant("paused_queue_is_claimed", _MEMORY + "claiming:claim_new", "if queue not in state.paused", ""),
    Mutant("dedupe_never_freed", _MEMORY + "ending:_free_key", "        free_key(state, record)", "        pass"),
    Mutant(
        "dedupe_freed_at_claim",
        _MEMORY + "claiming:_take",
        "record.dedupe.phase is DedupePhase.UNTIL_CLAIMED",
        "True",
    ),
    # --- timers ---
    Mutant("promoted_early", _MEMORY + "ticking:_timers", "entry[0] <= now_us", "entry[0] <= now_us + 15_000"),
    Mutant("expiry_ignored_by_claim", _MEMORY + "claiming:_expired", "record.expires_at_us > now_us", "True"),
    Mutant("start_keeps_expiry", _MEMORY + "settling:_apply", "            record.expires_at_us = None\n", ""),
    Mutant("timers_forgotten", _MEMORY + "ticking:_timers", "handled < budget", "False"),
    # --- waits ---
    Mutant(
        "suspend_without_final_check",
        _MEMORY + "waiting:suspend",
        "len(final) >= need",
        "False",
    ),
    Mutant("edges_stay", _MEMORY + "ending:_release_waiters", "waiter.edges.discard(ended)", "pass"),
    Mutant("need_not_decremented", _MEMORY + "ending:_release_waiters", "need_left -= 1", "need_left -= 0"),
    Mutant("need_decremented_twice", _MEMORY + "ending:_release_waiters", "need_left -= 1", "need_left -= 2"),
    Mutant("woken_by_the_first", _MEMORY + "ending:_release_waiters", "need_left == 0", "need_left >= 0"),
    Mutant(
        "end_forgets_waiters", _MEMORY + "ending:end", "_release_waiters(state, ended[0].id, ended[1], now_us)", "()"
    ),
    Mutant(
        "dependency_may_fail",
        _MEMORY + "ending:_release_waiters",
        "and not counts(waiter.after_policy, status)",
        "and False",
    ),
    Mutant("falls_too_early", _MEMORY + "ending:_release_waiters", "waiter.need_left > len(waiter.edges)", "True"),
    Mutant("falls_never", _MEMORY + "ending:_release_waiters", "waiter.need_left > len(waiter.edges)", "False"),
    Mutant("place_not_passed_on", _MEMORY + "waiting:suspend", "if wish.inherit:", "if False:"),
    Mutant("cycle_unnoticed", _MEMORY + "waiting:suspend", "if cycle:", "if False:"),
    Mutant("timeout_not_told", _MEMORY + "ticking:_handle", "timed_out=True", "timed_out=False"),
    # --- notices ---
    Mutant("watch_without_check", _MEMORY + "waiting:watch", "each in wanted if each in state.outcomes", "each in ()"),
    Mutant(
        "notice_lost",
        _MEMORY + "ending:_write_outcome",
        "watcher.inbox.append(FinishedNotice(outcome=outcome))",
        "pass",
    ),
    Mutant(
        "notices_repeated",
        _MEMORY + "exchanging:exchange",
        "inbox, session.inbox = tuple(session.inbox), []",
        "inbox = tuple(session.inbox)",
    ),
    Mutant(
        "owner_not_told_to_cancel",
        _MEMORY + "cancelling:_cancel_one",
        "            notify_cancel(state, record, detail)\n",
        "",
    ),
    Mutant("cancelled_runs_again", _MEMORY + "settling:give_back", "if record.cancel_requested:", "if False:"),
    # --- the control loop ---
    Mutant(
        "loop_never_reconciles",
        "runners.store_session:StoreSession.exchange",
        "if self._has_to_compare():",
        "if False:",
    ),
    Mutant(
        "loop_drops_completions",
        "runners.store_session:StoreSession._failed",
        "self._uncertain = True",
        "self._uncertain = True; self._settler.drop_all()",
    ),
    Mutant(
        "loop_forgets_lost_stacks",
        "runners.run_keeper:RunKeeper._came_back",
        " or run.phase is not Phase.SUSPENDED",
        "",
    ),
    Mutant(
        "loop_misses_lost_resumptions",
        "runners.reconciler:differences",
        "completions += _wait_again(item, run, settler)",
        "pass",
    ),
    Mutant(
        "loop_keeps_lost_claims",
        "runners.reconciler:differences",
        "elif item.state is State.OWNED and not",
        "elif False and not",
    ),
    Mutant(
        "loop_without_heartbeat",
        "runners.store_session:StoreSession.exchange_due",
        " or now_s >= self._heartbeat_s",
        "",
    ),
    # --- the bound of waiting bodies ---
    Mutant("bound_ignored", "runners.wait_bound:WaitBound.only", "if not self.reached:", "if True:"),
    Mutant("bound_of_everybody", "runners.wait_bound:WaitBound._first", "max(1, self.slots)", "10**6"),
    Mutant(
        "bound_forgets_what_it_claims",
        "runners.store_session:StoreSession._claim_awaited",
        "self._runs.start(claims)",
        "pass",
    ),
    Mutant("bound_looks_no_more", "runners.wait_bound:WaitBound.look_due", " or self._clock() >= self._look_at_s", ""),
    Mutant("bound_misses_waits", "runners.run_table:RunTable.suspended", "self.waiting.add(run, whole=True)", "pass"),
    Mutant(
        "bound_without_patience",
        "runners.wait_bound:WaitBound._mind_standstill",
        "self._stands_still = True",
        "pass",
    ),
    Mutant(
        "loop_spins",
        "runners.store_session:StoreSession._next_look_s",
        "self._look_s if self._look_s > now_s else now_s + self._config.report_after_s",
        "self._look_s",
    ),
]
MUTANTS = {mutant.name: mutant for mutant in _LIST}

_DISHONEST = [
    Mutant(
        "settle_in_any_state",
        _MEMORY + "settling:settle",
        "record is None or record.state is not State.OWNED",
        "not record",
    ),
    Mutant("epoch_only_fence", _MEMORY + "settling:owned_record", "record.owner != session.number or ", ""),
    Mutant("parent_fence_by_owner_only", _MEMORY + "submitting:holds", " and record.epoch == fence.epoch", ""),
    Mutant("reverse_order_of_claims", _MEMORY + "claiming:_first", "min(", "max("),
]
DISHONEST_MUTANTS = {mutant.name: mutant for mutant in _DISHONEST}
"""Mistakes that sound runners hardly ever provoke: random traces have to find them."""
