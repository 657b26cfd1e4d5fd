"""Gates, flows and what is told of them, as the scripts read and write them; see `shared/gates.lua`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pynenc.model.gates import (
    BreakerGate,
    Flow,
    FlowSetting,
    Gate,
    GateFact,
    GateHolder,
    GateMode,
    GateSetting,
    RateGate,
    RateSetting,
    SlotGate,
    SlotSetting,
)
from pynenc.model.ids import InvocationId
from pynenc.model.records import Dedupe, DedupeMode, DedupePhase, Submission
from pynenc.ports.transfer import CarriedBreaker, CarriedUnit


def needs_gates(item: Submission) -> bool:
    """Return whether a submission asks for what only the gated build of `submit` knows."""
    return bool(item.gates) or item.flow is not None or key_terms(item.dedupe) is not None


def call_fields(gates: Sequence[Gate], flow: Flow | None) -> tuple[Any, ...]:
    """Return what a stored call ends with if it is gated: its gates, which are sorted by name, and its flow."""
    if not gates and flow is None:
        return ()
    return [gate_fields(gate) for gate in gates], flow_fields(flow)


def key_terms(dedupe: Dedupe | None) -> tuple[Any, ...] | None:
    """Return mode, hash, window and whether that is all that ends it; None: the usual ones."""
    if dedupe is None:
        return None
    for_a_while = dedupe.phase is DedupePhase.FOR_A_WHILE
    if dedupe.mode is DedupeMode.REUSE and not (dedupe.arguments_hash or dedupe.window_us or for_a_while):
        return None
    return dedupe.mode.value, dedupe.arguments_hash, dedupe.window_us, for_a_while


def gate_fields(gate: Gate) -> tuple[Any, ...]:
    """Return a gate as the scripts keep it."""
    if isinstance(gate, SlotGate):
        return gate.name, gate.mode.value, gate.limit, gate.hold_while_waiting, gate.block_lane_on_retry
    if isinstance(gate, RateGate):
        return gate.name, gate.mode.value, gate.interval_us, gate.burst
    return gate.name, gate.mode.value, gate.failures, gate.open_for_us


def flow_fields(flow: Flow | None) -> Any:
    """Return a flow as the scripts keep it."""
    return False if flow is None else (flow.key, flow.weight)


def gate_of(fields: Sequence[Any]) -> Gate:
    """Return a gate from its fields."""
    kind, _, key = fields[0].decode().partition(":")
    mode = GateMode(fields[1])
    if kind == "slots":
        return SlotGate(
            key=key, limit=fields[2], mode=mode, hold_while_waiting=fields[3], block_lane_on_retry=fields[4]
        )
    if kind == "rate":
        return RateGate(key=key, interval_us=fields[2], burst=fields[3], mode=mode)
    return BreakerGate(key=key, failures=fields[2], open_for_us=fields[3], mode=mode)


def flow_of(fields: Any) -> Flow | None:
    """Return a flow from its fields."""
    return None if fields is False else Flow(fields[0].decode(), fields[1])


def setting_fields(setting: GateSetting) -> tuple[str, tuple[int, ...]]:
    """Return the name and the numbers of a setting."""
    if isinstance(setting, SlotSetting):
        return setting.name, (setting.limit,)
    if isinstance(setting, RateSetting):
        return setting.name, (setting.interval_us, setting.burst)
    return setting.name, (setting.weight,)


def setting_of(name: bytes, numbers: Sequence[int]) -> GateSetting:
    """Return a setting from its name and numbers."""
    kind, _, key = name.decode().partition(":")
    if kind == "slots":
        return SlotSetting(key, numbers[0])
    if kind == "rate":
        return RateSetting(key, numbers[0], numbers[1])
    return FlowSetting(key, numbers[0])


def pairs_of(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Return the pairs of a flat reply."""
    return zip(flat[::2], flat[1::2], strict=True)


def breaker_fields(breaker: CarriedBreaker) -> tuple[Any, ...]:
    """Return what is kept of a breaker."""
    since, until = breaker.open_since_us, breaker.open_until_us
    return breaker.failures, False if since is None else since, False if until is None else until


def breaker_of(name: bytes, fields: Sequence[Any]) -> CarriedBreaker:
    """Return a breaker from what is kept of it."""
    failures, since, until = fields
    return CarriedBreaker(
        name=name.decode(),
        failures=failures,
        open_since_us=None if since is False else since,
        open_until_us=None if until is False else until,
    )


def unit_of(gate: bytes, fields: Sequence[Any]) -> CarriedUnit:
    """Return a unit from what is kept of it."""
    return CarriedUnit(gate=gate.decode(), since_us=fields[0], limit=fields[2])


def terms_of(dedupe: Dedupe, created_at_us: int) -> tuple[Any, ...] | None:
    """Return what is kept of a key beside its holder, None for the usual terms; see `shared/ending.lua`."""
    wish = key_terms(dedupe)
    if wish is None:
        return None
    mode, arguments_hash, window_us, for_a_while = wish
    return for_a_while and created_at_us + window_us, arguments_hash, mode, window_us


def dedupe_of(key: bytes, phase: int, terms: Any) -> Dedupe | None:
    """Return a key as its holder took it, None if it does not hold it (`terms` is False)."""
    if terms is False:
        return None
    if not terms:
        return Dedupe(key, DedupePhase(phase))
    _, arguments_hash, mode, window_us = terms
    return Dedupe(key, DedupePhase(phase), DedupeMode(mode), arguments_hash, window_us)


def fact_of(fields: Sequence[Any]) -> GateFact:
    """Return how a gate stands for one invocation; see `explain.lua`."""
    name, closed, parked, limit, explicit, holders, holders_total, opens, failures, since = fields
    return GateFact(
        name=name.decode(),
        closed=closed,
        parked=parked,
        limit=None if limit is False else limit,
        explicit=explicit,
        holders=tuple(
            GateHolder(invocation_id=InvocationId(each), task_id=task.decode(), since_us=since_us)
            for each, task, since_us in holders
        ),
        holders_total=holders_total,
        opens_at_us=None if opens is False else opens,
        failures=failures,
        open_since_us=None if since is False else since,
    )
