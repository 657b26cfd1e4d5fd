"""Who could pass its gates, computed from a dump without the help of lanes: brute force."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec import convert

from pynenc.model.gates import BreakerGate, Gate, RateGate, SlotGate
from pynenc.model.ids import InvocationId
from pynenc.model.status import State


class GateView:
    """The gates of a store at one moment.

    Args:
        dump: what `Backend.dump` returned.
        now_us: the store's time.
    """

    def __init__(self, dump: dict[str, Any], now_us: int) -> None:
        self._dump = dump
        self._now_us = now_us
        gates = dump.get("gates", {})
        self._holders: dict[str, dict[str, Any]] = gates.get("holders", {})
        self._settings: dict[str, dict[str, Any]] = gates.get("settings", {})
        self._rates: dict[str, int] = gates.get("rates", {})
        self._breakers: dict[str, dict[str, Any]] = gates.get("breakers", {})
        trials = {each: row["trial"] for each, row in gates.get("resumes", {}).items() if row["trial"] is not None}
        self._trials = trials
        self._kept = Counter(trials.values())
        self.shared = bool(gates.get("flows"))
        """Whether flows decide about the order of what is claimed."""

    def stopped(self, invocation_id: InvocationId) -> bool:
        """Whether a gate is closed to an invocation that is READY: to its start, or to its going on."""
        each = invocation_id.hex()
        resumable = self._dump["controls"][each]["owner"] is not None
        gates = convert(self._dump["calls"][each]["gates"], tuple[Gate, ...])
        return any(self._stops(gate, each, resumable) for gate in gates)

    def reachable(self, invocation_id: InvocationId) -> bool:
        """Whether it could be claimed out of turn: nothing comes before it in the lane of an ordering key."""
        gates = convert(self._dump["calls"][invocation_id.hex()]["gates"], tuple[Gate, ...])
        ordered = any(isinstance(gate, SlotGate) and gate.block_lane_on_retry for gate in gates)
        first = invocation_id.hex() in self._dump.get("gates", {}).get("lanes", {})
        return (first or not ordered) and not self.stopped(invocation_id)

    def _stops(self, gate: Gate, each: str, resumable: bool) -> bool:
        holders = self._holders.get(gate.name, {})
        setting = self._settings.get(gate.name, {})
        if isinstance(gate, SlotGate):
            kept = self._kept[gate.name] - (self._trials.get(each) == gate.name)
            room = setting.get("limit", gate.limit) - len(holders) - kept
            return each not in holders and room <= 0 and not self._borrows(gate.name, each)
        if resumable:
            return False
        if isinstance(gate, RateGate):
            interval_us: int = setting.get("interval_us", gate.interval_us)
            burst: int = setting.get("burst", gate.burst)
            return self._now_us < self._rates.get(gate.name, 0) - (burst - 1) * interval_us
        assert isinstance(gate, BreakerGate)
        until_us: int | None = self._breakers.get(gate.name, {}).get("open_until_us")
        return until_us is not None and (self._now_us < until_us or bool(holders))

    def _borrows(self, name: str, each: str) -> bool:
        parent = self._dump["calls"][each]["parent_id"]
        while parent in self._dump["calls"]:
            control = self._dump["controls"].get(parent)
            waits = control is not None and State(control["state"]) is State.SUSPENDED
            if waits and parent in self._holders.get(name, {}):
                return True
            parent = self._dump["calls"][parent]["parent_id"]
        return False
