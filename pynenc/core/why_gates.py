"""Why limits stop an invocation: which ones, who is inside, until when."""

from __future__ import annotations

from pynenc.core.times import duration_text, instant_text
from pynenc.limits import ORDER_SUFFIX, rate_text
from pynenc.model.gates import BreakerGate, Gate, GateFact, GateHolder, GateMode, RateGate, SlotGate
from pynenc.model.ids import id_text
from pynenc.model.records import Standing

_NAMED = 3
"""How many holders a sentence names."""


def what_is_closed(standing: Standing) -> str:
    """Say which limits stop an invocation; "" if none does."""
    gates = {gate.name: gate for gate in standing.snapshot.call.gates}
    closed = [fact for fact in standing.gates if fact.closed and fact.name in gates]
    said = ", and ".join(_closed(gates[fact.name], fact, standing.now_us) for fact in closed)
    drops = any(gates[fact.name].mode is GateMode.REJECT for fact in closed)
    return f"{said}; it is dropped if a runner gets to it before that changes" if drops else said


def _closed(gate: Gate, fact: GateFact, now_us: int) -> str:
    match gate:
        case SlotGate():
            return _slots(gate, fact, now_us)
        case RateGate():
            rate = "set by hand" if fact.explicit else rate_text(gate.interval_us)
            return f"the rate {_name(gate.key)} ({rate}) is used up{_until(fact, now_us)}"
        case BreakerGate():
            return _breaker(gate, fact, now_us)


def _slots(gate: SlotGate, fact: GateFact, now_us: int) -> str:
    if gate.block_lane_on_retry:
        return f"before it in the order {_name(gate.key)} comes {_holders(fact, now_us)}"
    limit = f"{fact.limit} at a time{', set by hand' if fact.explicit else ''}"
    if not fact.holders_total:
        return f"the limit {_name(gate.key)} lets nothing run ({limit})"
    return f"the limit {_name(gate.key)} ({limit}) is taken by {_holders(fact, now_us)}"


def _breaker(gate: BreakerGate, fact: GateFact, now_us: int) -> str:
    since = f" since {instant_text(fact.open_since_us)}" if fact.open_since_us is not None else ""
    text = f"the circuit breaker {_name(gate.key)} is open{since}, after {fact.failures} failures in a row"
    if fact.holders_total:
        return f"{text}; {_holders(fact, now_us)} tries whether all is well again"
    return f"{text}{_until(fact, now_us)}"


def _until(fact: GateFact, now_us: int) -> str:
    if fact.opens_at_us is None:
        return ""
    return f" until {instant_text(fact.opens_at_us)} (in {duration_text(fact.opens_at_us - now_us)})"


def _holders(fact: GateFact, now_us: int) -> str:
    named = ", ".join(_holder(each, now_us) for each in fact.holders[:_NAMED])
    more = fact.holders_total - min(_NAMED, len(fact.holders))
    return named + (f" and {more} more" if more > 0 else "")


def _holder(holder: GateHolder, now_us: int) -> str:
    held = duration_text(now_us - holder.since_us)
    return f"{holder.task_id} {id_text(holder.invocation_id)} since {instant_text(holder.since_us)} ({held})"


def _name(key: str) -> str:
    """Return a key as people know it: its name, and the beginning of the hash of what it is by."""
    name, _, hashed = key.partition("#")
    return repr(name.removesuffix(ORDER_SUFFIX)) + (f" for its key {hashed[:8]}…" if hashed else "")
