"""What no store takes of gates: numbers out of their bounds, keys that are too long, a gate that is named twice."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.errors import InvalidGate
from pynenc.model.gates import (
    MOST_GATES,
    MOST_KEY_BYTES,
    MOST_WEIGHT,
    Flow,
    FlowSetting,
    Gate,
    GateSetting,
    RateGate,
    SlotGate,
    SlotSetting,
)


def checked(gates: Sequence[Gate], flow: Flow | None) -> tuple[Gate, ...]:
    """Return the gates by name, as stores keep them.

    Raises:
        InvalidGate: a number is out of its bounds, a key too long, or a gate is there twice.
    """
    if len(gates) > 1:
        _check_names([gate.name for gate in gates])
    for gate in gates:
        _check_key(gate.key)
        _check_numbers(gate)
    if flow is not None:
        _check_key(flow.key)
        _check(flow.name, "weight", flow.weight, least=1, most=MOST_WEIGHT)
    return tuple(gates if len(gates) < 2 else sorted(gates, key=lambda gate: gate.name))


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MOST_GATES:
        raise InvalidGate(f"an invocation passes at most {MOST_GATES} gates, these are {len(names)}")
    if len(set(names)) < len(names):
        raise InvalidGate(f"the same gate is named twice: {', '.join(sorted(names))}")


def check_setting(setting: GateSetting) -> None:
    """Refuse what no store can keep.

    Raises:
        InvalidGate: a number is out of its bounds, or the key too long.
    """
    _check_key(setting.key)
    if isinstance(setting, SlotSetting):
        _check(setting.name, "limit", setting.limit, least=0)
    elif isinstance(setting, FlowSetting):
        _check(setting.name, "weight", setting.weight, least=1, most=MOST_WEIGHT)
    else:
        _check(setting.name, "interval_us", setting.interval_us, least=1)
        _check(setting.name, "burst", setting.burst, least=1)


def _check_numbers(gate: Gate) -> None:
    if isinstance(gate, SlotGate):
        _check(gate.name, "limit", gate.limit, least=1)
    elif isinstance(gate, RateGate):
        _check(gate.name, "interval_us", gate.interval_us, least=1)
        _check(gate.name, "burst", gate.burst, least=1)
    else:
        _check(gate.name, "failures", gate.failures, least=1)
        _check(gate.name, "open_for_us", gate.open_for_us, least=1)


def _check_key(key: str) -> None:
    if not 0 < len(key.encode("utf-8", "replace")) <= MOST_KEY_BYTES:
        raise InvalidGate(f"a gate's key has 1 to {MOST_KEY_BYTES} bytes, not {key!r}")


def _check(name: str, field: str, value: int, *, least: int, most: int = 2**40) -> None:
    if not least <= value <= most:
        raise InvalidGate(f"{field} of {name} is {value}; it has to be from {least} to {most}")
