"""Gates: who is inside, who may pass, who is let out to try when one opens.

`protocol/SEMANTICS.md`, "Lanes and gates", says to the letter what happens here; names are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pynenc.backends.sqlite.gate_rows import Lenders
from pynenc.backends.sqlite.gate_state import Breaker, Breakers, HeldUnit, Holders, Settings, Times
from pynenc.backends.sqlite.lane import Lane
from pynenc.backends.sqlite.lanes import Lanes
from pynenc.backends.sqlite.resuming import Resuming
from pynenc.backends.sqlite.rows import READY, SUSPENDED, Live
from pynenc.model.gates import BreakerGate, Gate, GateSetting, RateGate, RateSetting, SlotGate, SlotSetting
from pynenc.model.ids import InvocationId

if TYPE_CHECKING:
    from pynenc.backends.sqlite.unit import Unit

MOST_TRIALS = 32
"""So many lanes of a queue, and so many resume tokens, try one gate at a time."""


class Gating:
    """Every gate that a unit needs."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._connection = unit.connection
        self.lanes = Lanes(unit)
        self.holders = Holders(unit.connection)
        self.times = Times(unit.connection, unit.now)
        self.breakers = Breakers(unit.connection)
        self.settings = Settings(unit.connection)
        self.resuming = Resuming(unit.connection)
        self._trials: dict[tuple[str, int], set[int]] = {}

    def load(self, ids: Iterable[InvocationId]) -> None:
        """Read what these carry, and their units, at once."""
        wanted = list(ids)
        self.lanes.load_calls(wanted)
        self.holders.load([(gate.name, each) for each in wanted for gate in self.lanes.call(each).gates])

    def flush(self) -> None:
        """Write what was changed."""
        self.lanes.flush()
        self.holders.flush()
        self.times.flush()

    # --- how a gate stands ---

    def room(self, gate: Gate) -> int:
        """Return how many more may pass now, were nobody waiting."""
        if isinstance(gate, SlotGate):
            return self.limit(gate) - self.holders.number(gate.name)
        now = self._unit.now
        if isinstance(gate, RateGate):
            interval, burst = self.rate(gate)
            return (now + burst * interval - max(self.times.arrival(gate.name), now)) // interval
        opened = self.breakers.state(gate.name)
        if opened is None or opened.open_until is None:
            return MOST_TRIALS
        return 0 if now < opened.open_until else 1 - self.holders.number(gate.name)

    def limit(self, gate: SlotGate) -> int:
        setting = self.settings.get(gate.name)
        return setting.limit if isinstance(setting, SlotSetting) else gate.limit

    def rate(self, gate: RateGate) -> tuple[int, int]:
        setting = self.settings.get(gate.name)
        return (
            (setting.interval_us, setting.burst) if isinstance(setting, RateSetting) else (gate.interval_us, gate.burst)
        )

    def opens_at(self, gate: Gate) -> int | None:
        """Return when time alone opens a gate; None: time has no part in it."""
        if isinstance(gate, RateGate):
            interval, burst = self.rate(gate)
            return self.times.arrival(gate.name) - (burst - 1) * interval
        opened = self.breakers.state(gate.name) if isinstance(gate, BreakerGate) else None
        return None if opened is None else opened.open_until

    def closed(self, live: Live) -> Gate | None:
        """Return the first gate that stops a READY invocation without an owner; None: it may start."""
        lenders = self.lanes.lane_of(live).lenders
        for gate in self.lanes.call(live.id).gates:
            if self._stops(gate, lenders, kept_for=None):
                return gate
        return None

    def stops(self, live: Live, gate: Gate) -> bool:
        """Return whether a gate would stop an invocation, in whatever state; slots do not stop who is inside."""
        if live.lane:
            return self._stops(gate, self.lanes.lane_of(live).lenders, kept_for=live.id)
        if isinstance(gate, SlotGate) and not self.misses(live.id, gate):
            return False
        return self._stops(gate, self.lanes.lenders_of(self.lanes.call(live.id)), kept_for=live.id)

    def _stops(self, gate: Gate, lenders: Lenders, *, kept_for: InvocationId | None) -> bool:
        kept = 0 if self.resuming.is_empty() else self.resuming.kept_for_others(gate.name, kept_for)
        if self.room(gate) > kept:
            return False
        return not lenders or self._lender(gate, lenders) is None

    def _lender(self, gate: Gate, lenders: Lenders) -> InvocationId | None:
        """Return the nearest ancestor on whose unit a gate can be passed."""
        for ancestor in dict(lenders).get(gate.name, ()):
            if self._lends(ancestor, gate.name):
                return ancestor
        return None

    def _lends(self, ancestor: InvocationId, gate: str) -> bool:
        live = self._unit.live(ancestor)
        return live is not None and live.state == SUSPENDED and self.holders.unit(gate, ancestor) is not None

    # --- queueing ---

    def enter(self, live: Live) -> bool:
        """Queue a READY invocation in its lane; return whether that is claimable as far as anybody knows."""
        return self.settle_in(live, self.lanes.enter(live, self.lanes.call(live.id)))

    def settle_in(self, live: Live, lane: Lane) -> bool:
        """Note that an invocation has entered a lane; return whether that is claimable as far as anybody knows."""
        if lane.parked is None:
            return True
        if lane.placed == (live.rank, live.id):
            # It may come before those that try the gate now.
            self.activate(lane.parked)
        return False

    def withdraw(self, live: Live) -> None:
        """Take the token of an invocation, or its place in its lane, away."""
        if live.lane:
            self._left(self.lanes.leave(live))
            return
        if self.resuming.known(live.id) is not None:
            self._unpark_resume(live)
            self._end_resume_trial(live.id)

    def _left(self, lane: Lane) -> None:
        """Give up what a lane that lost a member was trying or waiting for."""
        if not lane.gone:
            if lane.trial is not None:
                # It comes later now than it did, perhaps later than one that is parked.
                self.activate(lane.trial)
            return
        trial = self._end_trial(lane)
        for gate in (trial, lane.parked):
            if gate is not None:
                self.activate(gate)

    # --- passing ---

    def start(self, live: Live) -> None:
        """Let an invocation pass its gates, which are open, and take it out of its lane."""
        lanes = self.lanes
        lane = lanes.lane_of(live)
        self._pass(live.id, lanes.call(live.id).gates, lane.lenders)
        trial = self._end_trial(lane)
        if lane.flow is None:
            lanes.leave(live)
        else:
            lanes.flows.begin(lane)
            lanes.leave(live)
            lanes.flows.place(lane.queue, lane.flow)
        for gate in (lane.parked if lane.gone else None, trial):
            if gate is not None:
                self.activate(gate)

    def _pass(self, invocation_id: InvocationId, gates: Iterable[Gate], lenders: Lenders) -> None:
        now = self._unit.now
        for gate in gates:
            if isinstance(gate, SlotGate):
                self._take_unit(invocation_id, gate, lenders)
            elif isinstance(gate, RateGate):
                self.times.put(gate.name, max(self.times.arrival(gate.name), now) + self.rate(gate)[0])
            elif (opened := self.breakers.state(gate.name)) is not None and opened.open_until is not None:
                self.holders.take(gate.name, invocation_id, HeldUnit(now, (), 1))

    def _take_unit(self, invocation_id: InvocationId, gate: SlotGate, lenders: Lenders) -> None:
        now, name = self._unit.now, gate.name
        if not lenders or self.room(gate) > self.resuming.kept_for_others(name, invocation_id):
            self.holders.take(name, invocation_id, HeldUnit(now, (), self.limit(gate)))
            return
        lender = self._lender(gate, lenders)
        assert lender is not None
        lent = self.holders.give(name, lender)
        assert lent is not None
        self.holders.take(name, invocation_id, HeldUnit(now, (lender, *lent.lenders), lent.limit))

    def park(self, live: Live, gate: Gate) -> None:
        """Park the lane of an invocation that a gate stops, and let others try what its lane was let out for."""
        lane = self.lanes.lane_of(live)
        trial = self._end_trial(lane)
        self.lanes.move(lane, gate.name, None)
        if trial is not None and trial != gate.name:
            self.activate(trial)
        self.activate(gate.name)

    def trying_before(self, lane: Lane, gate: str) -> int:
        """Return how many lanes of its queue try a gate that come before this one."""
        place = lane.placed
        assert place is not None
        others = (self.lanes.lane(number).placed for number in self._trying(gate, lane.queue))
        return sum(other is not None and other < place for other in others)

    def _trying(self, gate: str, queue: int) -> set[int]:
        """Return the lanes of a queue that try a gate."""
        key = (gate, queue)
        if key not in self._trials:
            self._trials[key] = self.lanes.trying(gate, queue)
        return self._trials[key]

    def _end_trial(self, lane: Lane) -> str | None:
        trial = lane.trial
        if trial is not None:
            self._trials.get((trial, lane.queue), set()).discard(lane.number)
            self.lanes.clear_trial(lane)
        return trial

    # --- opening ---

    def activate(self, gate: str) -> None:
        """Let out as many as may pass now, resumable invocations first, then lanes of each queue; set the timer."""
        is_slots = gate.startswith("slots:")
        if is_slots and not self.lanes.any_parked() and self.resuming.is_empty():
            return
        self._activate_resumes(gate)
        for queue in self.lanes.queues_before(gate):
            self._activate_lanes(gate, queue)
        if not is_slots:
            self._set_timer(gate)

    def _activate_resumes(self, gate: str) -> None:
        while (first := self.resuming.first(gate)) is not None:
            if min(self._room_for(first, gate), MOST_TRIALS) <= self.resuming.trying(gate):
                break
            live = self._unit.live(first)
            assert live is not None
            self._let_go_on(live, trial=gate)

    def _activate_lanes(self, gate: str, queue: int) -> None:
        while (head := self.lanes.parked(gate, queue).first()) is not None:
            lane = self.lanes.lane(head[1])
            trying = self.resuming.trying(gate) + self.trying_before(lane, gate)
            if min(self._room_for(head[0][1], gate), MOST_TRIALS) <= trying:
                break
            self._trying(gate, queue).add(lane.number)
            self._let_out(lane, trial=gate)

    def _room_for(self, invocation_id: InvocationId, name: str) -> int:
        return self.room(self.gate_of(invocation_id, name))

    def gate_of(self, invocation_id: InvocationId, name: str) -> Gate:
        """Return a gate as this invocation names it."""
        return next(gate for gate in self.lanes.call(invocation_id).gates if gate.name == name)

    def _let_out(self, lane: Lane, *, trial: str | None) -> None:
        self.lanes.move(lane, None, trial)
        self._unit.wake_for(lane.queue)

    def _set_timer(self, gate: str) -> None:
        moments = []
        for queue in self.lanes.queues_before(gate):
            head = self.lanes.parked(gate, queue).first()
            opens = None if head is None else self.opens_at(self.gate_of(head[0][1], gate))
            if opens is not None and opens > self._unit.now:
                moments.append(opens)
        if moments:
            self._unit.due_at(min(moments))
            self._connection.execute("INSERT OR REPLACE INTO gate_timer (gate, due) VALUES (?,?)", (gate, min(moments)))
        else:
            self._connection.execute("DELETE FROM gate_timer WHERE gate = ?", (gate,))

    # --- resumable invocations ---

    def may_go_on(self, live: Live) -> bool:
        """Give a resumable invocation back the units it gave up, or park it before the first gate that is closed."""
        call = self.lanes.call(live.id)
        missing = [gate for gate in call.gates if self.misses(live.id, gate)]
        lenders = self.lanes.lenders_of(call) if missing else ()
        for gate in missing:
            if self._stops(gate, lenders, kept_for=live.id):
                self._park_resume(live, gate.name, lenders)
                return False
        self._pass(live.id, missing, lenders)
        self._end_resume_trial(live.id)
        return True

    def misses(self, invocation_id: InvocationId, gate: Gate) -> bool:
        """Whether an invocation that runs has to be inside this gate, and is not."""
        return isinstance(gate, SlotGate) and self.holders.unit(gate.name, invocation_id) is None

    def _park_resume(self, live: Live, gate: str, lenders: Lenders) -> None:
        self.resuming.park(live.id, live.rank, gate, lenders)
        self.lanes.note_kin(0, live.id, gate, lenders)
        live.lane = 0
        self._unit.changed(live)
        self._end_resume_trial(live.id)

    def _let_go_on(self, live: Live, *, trial: str | None) -> None:
        self._unpark_resume(live)
        self.resuming.try_gate(live.id, live.rank, trial)
        assert live.owner is not None
        self._unit.ring(live.owner)

    def _unpark_resume(self, live: Live) -> None:
        known = self.resuming.known(live.id)
        if known is None or known.parked is None:
            return
        self.resuming.unpark(live.id)
        self.lanes.forget_kin(0, live.id, known.parked, known.lenders)
        live.lane = None
        self._unit.changed(live)

    def _end_resume_trial(self, invocation_id: InvocationId) -> None:
        trial = self.resuming.end_trial(invocation_id)
        if trial is not None:
            self.activate(trial)

    # --- leaving ---

    def give_up(self, live: Live, *, keep_blocking: bool = False) -> None:
        """Give all units of an invocation back.

        Args:
            keep_blocking: all but those that stay with it while its retry is delayed.
        """
        for gate in self.lanes.call(live.id).gates:
            if not (keep_blocking and isinstance(gate, SlotGate) and gate.block_lane_on_retry):
                self._give_unit_up(live.id, gate.name)

    def suspend(self, live: Live) -> None:
        """Give the units of a run that waits back, and lend those that it keeps.

        A trial run gives its unit back too: what it waits for may stand before the same breaker.
        """
        for gate in self.lanes.call(live.id).gates:
            if isinstance(gate, SlotGate) and gate.hold_while_waiting:
                self._lend(live.id, gate.name)
            else:
                self._give_unit_up(live.id, gate.name)

    def _give_unit_up(self, invocation_id: InvocationId, gate: str) -> None:
        unit = self.holders.give(gate, invocation_id)
        if unit is None:
            return
        for number, each in enumerate(unit.lenders):
            lender = self._wants_back(each, gate)
            if lender is not None:
                rest = unit.lenders[number + 1 :]
                self.holders.take(gate, each, HeldUnit(self._unit.now, rest, unit.limit))
                self._came_back(lender, gate)
                return
        self.activate(gate)

    def _came_back(self, lender: Live, gate: str) -> None:
        known = self.resuming.known(lender.id)
        if known is not None and known.parked == gate:
            self._let_go_on(lender, trial=None)
        elif known is not None and known.trial == gate:
            self._end_resume_trial(lender.id)
        self._lend(lender.id, gate)

    def _wants_back(self, lender: InvocationId, gate: str) -> Live | None:
        live = self._unit.live(lender)
        if live is None or live.owner is None or live.state not in (SUSPENDED, READY):
            return None
        return live if self.holders.unit(gate, lender) is None else None

    def _lend(self, lender: InvocationId, gate: str) -> None:
        """Let out whoever could pass a gate on the unit of this holder, if that waits for others."""
        if not self._lends(lender, gate):
            return
        ids, lanes = self.lanes.kin(lender, gate)
        resumable = [live for each in ids if (live := self._unit.live(each)) is not None]
        for live in sorted(resumable, key=lambda live: (live.rank, live.id)):
            self._let_go_on(live, trial=None)
        for lane in lanes:
            self._let_out(lane, trial=None)

    # --- breakers ---

    def report(self, live: Live, *, failed: bool) -> None:
        """Tell the breakers of an invocation how its attempt ended, before its units are given up."""
        for gate in self.lanes.call(live.id).gates:
            if isinstance(gate, BreakerGate):
                self._report(live.id, gate, failed)

    def _report(self, invocation_id: InvocationId, gate: BreakerGate, failed: bool) -> None:
        known = self.breakers.state(gate.name)
        is_open = known is not None and known.open_until is not None
        if is_open and self.holders.unit(gate.name, invocation_id) is None:
            return
        if not failed:
            self.breakers.rest(gate.name)
            return
        failures, since, until = (0, None, None) if known is None else known
        failures += 1
        if is_open or failures >= gate.failures:
            until = self._unit.now + gate.open_for_us
            since = self._unit.now if since is None else since
        self.breakers.put(gate.name, Breaker(failures, since, until))

    # --- changing gates ---

    def put(self, setting: GateSetting) -> None:
        """Let a setting hold instead of what submissions say."""
        self.settings.put(setting)
        self.activate(setting.name)

    def take_away(self, name: str) -> bool:
        """Let submissions decide again; return whether there was a setting."""
        known = self.settings.clear(name)
        if known:
            self.activate(name)
        return known
