"""One-line mistakes in lanes, gates and trials, each of which gated seeds have to find."""

from __future__ import annotations

from pynenc.testing.contracts.flows import WakingContract
from pynenc.testing.contracts.gate_timing import LiveLimitsContract
from pynenc.testing.contracts.ordering import OrderingContract
from pynenc.testing.contracts.slots import SlotsContract
from pynenc.testing.contracts.waiting_inside import WaitingInsideContract
from tests.simulation.mutants import Mutant

_GATING = "backends.memory.gating:Gating."
_MEMORY = "backends.memory."
_LIST = [
    # --- limits ---
    Mutant("one_more_than_the_limit", _GATING + "room", "self.limit(gate) - len(", "self.limit(gate) + 1 - len("),
    Mutant("settings_ignored", _GATING + "limit", "isinstance(setting, SlotSetting)", "False"),
    Mutant("end_keeps_the_unit", _MEMORY + "ending:_write_outcome", "state.gating.give_up(record, now_us)", "pass"),
    Mutant(
        "lost_run_keeps_the_unit",
        _MEMORY + "ending:put_back",
        "state.gating.give_up(record, now_us, keep_blocking=delay_us > 0)",
        "pass",
    ),
    Mutant("wait_keeps_the_unit", _GATING + "suspend", "self._give_unit_up(record.id, gate.name, now_us)", "pass"),
    Mutant(
        "goes_on_without_a_unit",
        _MEMORY + "claiming:claim_resumable",
        "not record.gated or state.gating.may_go_on(record, now_us)",
        "True",
    ),
    # --- letting out ---
    Mutant("no_baton", _GATING + "park", "trial is not None and trial != gate.name", "False"),
    Mutant(
        "freed_unit_is_tried_by_nobody",
        _GATING + "_give_unit_up",
        "self.activate(gate, now_us)",
        "pass",
    ),
    Mutant("raised_limit_lets_nobody_out", _GATING + "put", "self.activate(setting.name, now_us)", "pass"),
    Mutant("cleared_limit_lets_nobody_out", _GATING + "take_away", "self.activate(name, now_us)", "pass"),
    Mutant(
        "one_trial_at_a_time",
        _GATING + "_activate_lanes",
        "min(self._room_for(first, gate, now_us), MOST_TRIALS)",
        "min(self._room_for(first, gate, now_us), 1)",
    ),
    Mutant(
        "trials_shared_by_queues",
        _GATING + "trying_before",
        "others = self.trials.get((gate, lane.queue), ())",
        "return sum(len(lanes) for (name, _), lanes in self.trials.items() if name == gate)",
    ),
    Mutant("trial_outlives_the_lane", _GATING + "_left", "in (trial, lane.parked)", "in ()"),
    Mutant("later_work_tries_first", _GATING + "enter", "self.activate(lane.parked, now_us)", "pass"),
    Mutant("let_out_unheard", _GATING + "_let_out", "self._state.wake_for(lane.queue)", "pass"),
    Mutant("kept_for_the_lost", _GATING + "withdraw", "self._end_resume_trial(record, now_us)", "pass"),
    Mutant("resumable_lets_itself_out_never", _GATING + "activate", "self._activate_resumes(gate, now_us)", "pass"),
    # --- borrowing ---
    Mutant("lender_keeps_what_it_lent", _GATING + "_take_unit", ".pop(lender)", "[lender]"),
    Mutant("lent_unit_is_not_given_back", _GATING + "_give_unit_up", "if self._wants_back(lender, gate)", "if False"),
    Mutant("lenders_of_lenders_forgotten", _GATING + "_take_unit", "(lender, *lent.lenders)", "(lender,)"),
    Mutant("nothing_is_lent", _GATING + "suspend", "self._lend(record.id, gate.name)", "pass"),
    Mutant(
        "relatives_stand_among_strangers",
        _MEMORY + "lanes:Lanes._key_of",
        "gates, self.lenders_of(record)",
        "gates, ()",
    ),
    Mutant("runner_lends_its_unit", _GATING + "_lends", "record.state is State.SUSPENDED and ", ""),
    # --- order ---
    Mutant("retry_is_overtaken", _GATING + "give_up", "keep_blocking and ", "False and "),
    Mutant("claim_by_id_overtakes", _MEMORY + "claiming:_claim_one", "_in_turn(state, record) is not record", "False"),
    # --- time ---
    Mutant("timer_never_set", _GATING + "_set_timer", "self.put_timer(gate, min(moments))", "pass"),
    Mutant("burst_of_one_more", _GATING + "room", "now_us + burst * interval_us", "now_us + (burst + 1) * interval_us"),
    Mutant(
        "starts_do_not_count",
        _GATING + "_pass",
        "self.put_arrival(gate.name, max(self.arrival_us(gate.name), now_us) + self.rate(gate)[0])",
        "pass",
    ),
    Mutant("many_trial_runs", _GATING + "room", "else 1 - len(", "else 9 - len("),
    Mutant(
        "trial_run_waits_inside",
        _GATING + "suspend",
        "isinstance(gate, SlotGate) and gate.hold_while_waiting",
        "isinstance(gate, BreakerGate) or (isinstance(gate, SlotGate) and gate.hold_while_waiting)",
    ),
]
GATE_MUTANTS = {mutant.name: mutant for mutant in _LIST}

RARE = {
    "trial_outlives_the_lane": SlotsContract.test_the_end_of_one_that_tries_lets_another_one_try,
    "trials_shared_by_queues": SlotsContract.test_a_gate_is_shared_by_queues_and_neither_waits_for_an_unserved_one,
    "later_work_tries_first": SlotsContract.test_who_comes_first_by_rank_tries_beside_those_that_try_already,
    "raised_limit_lets_nobody_out": LiveLimitsContract.test_a_raised_limit_lets_more_in,
    "one_trial_at_a_time": LiveLimitsContract.test_a_raised_limit_lets_several_lanes_out,
    "retry_is_overtaken": OrderingContract.test_a_delayed_retry_is_overtaken_by_nothing_of_its_key,
    "claim_by_id_overtakes": OrderingContract.test_a_claim_by_id_does_not_overtake,
    "lenders_of_lenders_forgotten": WaitingInsideContract.test_what_was_borrowed_twice_goes_back_twice,
    "runner_lends_its_unit": WaitingInsideContract.test_who_runs_lends_nothing,
    "let_out_unheard": WakingContract.test_a_freed_unit_wakes_a_sleeper,
}
"""What seeds hardly ever meet, and the promise that is broken at once."""
