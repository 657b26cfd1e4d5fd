"""Gates, settings and facts about them, as rows and JSON of the functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
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
from pynenc.ports.transfer import CarriedBreaker, CarriedUnit, Header

_SLOTS, _RATE, _BREAKER = 0, 1, 2

Row = dict[str, Any]


# --- gates ---


def gates_text(gates: Iterable[Gate]) -> str:
    """Return gates as the text of an array of the type `gate`."""
    return f"{{{','.join(_quoted(_text(_record(gate))) for gate in gates)}}}"


def _text(record: Row) -> str:
    flags = ["ft"[record[name]] for name in ("hold", "block")]
    numbers = [str(record[name]) for name in ("kind", "mode", "most", "more")]
    return f"({','.join([_quoted(record['name']), *numbers, *flags])})"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def lane_of(queue: str, gates: Sequence[Gate], flow: Flow | None) -> bytes | None:
    """Return the key of the lane of what has these gates and no lenders; None: it is queued in no lane."""
    if not gates and flow is None:
        return None
    parts = [queue, "" if flow is None else flow.name, *(f"{gate.mode.value}{gate.name}" for gate in gates)]
    # Names may hold any character: what tells them apart is how long they are.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def gate_records(gates: Iterable[Gate]) -> list[Row]:
    """Return gates as values of the type `gate`."""
    return [_record(gate) for gate in gates]


def _record(gate: Gate) -> Row:
    record: Row = {"name": gate.name, "mode": gate.mode.value, "more": 0, "hold": False, "block": False}
    if isinstance(gate, SlotGate):
        record |= {
            "kind": _SLOTS,
            "most": gate.limit,
            "hold": gate.hold_while_waiting,
            "block": gate.block_lane_on_retry,
        }
    elif isinstance(gate, RateGate):
        record |= {"kind": _RATE, "most": gate.interval_us, "more": gate.burst}
    else:
        record |= {"kind": _BREAKER, "most": gate.failures, "more": gate.open_for_us}
    return record


def gates_of(records: list[Row] | None) -> tuple[Gate, ...]:
    """Return the gates that these values of the type `gate` are."""
    return tuple(_gate(record) for record in records or ())


def _gate(record: Row) -> Gate:
    key, mode, most, more = _key(record["name"]), GateMode(record["mode"]), record["most"], record["more"]
    if record["kind"] == _SLOTS:
        return SlotGate(
            key=key, limit=most, mode=mode, hold_while_waiting=record["hold"], block_lane_on_retry=record["block"]
        )
    if record["kind"] == _RATE:
        return RateGate(key=key, interval_us=most, burst=more, mode=mode)
    return BreakerGate(key=key, failures=most, open_for_us=more, mode=mode)


def _key(name: str) -> str:
    return name.partition(":")[2]


# --- settings ---


def setting_numbers(setting: GateSetting) -> tuple[int, int]:
    """Return the two numbers that are kept of a setting."""
    if isinstance(setting, SlotSetting):
        return setting.limit, 0
    if isinstance(setting, FlowSetting):
        return setting.weight, 0
    return setting.interval_us, setting.burst


def setting_of(row: tuple[Any, ...]) -> GateSetting:
    """Return a setting from its row."""
    name, most, more = row
    kind, _, key = name.partition(":")
    if kind == "slots":
        return SlotSetting(key, most)
    if kind == "flow":
        return FlowSetting(key, most)
    return RateSetting(key, most, more)


# --- insight ---


def fact_of(row: tuple[Any, ...]) -> GateFact:
    """Return how a gate stands from a row of `gate_facts`."""
    name, closed, parked, limit, explicit, holders, total, opens_at, failures, open_since = row
    return GateFact(
        name=name,
        closed=closed,
        parked=parked,
        limit=limit,
        explicit=explicit,
        holders=tuple(_holder(each) for each in holders or ()),
        holders_total=total,
        opens_at_us=opens_at,
        failures=failures,
        open_since_us=open_since,
    )


def _holder(fields: list[Any]) -> GateHolder:
    each, task_id, since_us = fields
    return GateHolder(invocation_id=InvocationId(bytes.fromhex(each)), task_id=task_id, since_us=since_us)


# --- moves ---


def breaker_of(row: tuple[Any, ...]) -> CarriedBreaker:
    """Return a breaker from a row of `move_gates`."""
    name, _, failures, open_since, open_until = row
    return CarriedBreaker(name=name, failures=failures, open_since_us=open_since, open_until_us=open_until)


def gate_rows(header: Header) -> tuple[list[Row], list[Row], list[Row]]:
    """Return settings, rates and breakers as rows of their tables."""
    numbers = [(setting.name, *setting_numbers(setting)) for setting in header.settings]
    return (
        [{"name": name, "most": most, "more": more} for name, most, more in numbers],
        [{"gate": name, "arrival": arrival_us} for name, arrival_us in header.rates],
        [
            {
                "gate": each.name,
                "failures": each.failures,
                "open_since": each.open_since_us,
                "open_until": each.open_until_us,
            }
            for each in header.breakers
        ],
    )


def unit_row(invocation_id: InvocationId, unit: CarriedUnit) -> Row:
    """Return a unit as a row of its table."""
    return {"gate": unit.gate, "id": invocation_id, "since": unit.since_us, "most": unit.limit}
