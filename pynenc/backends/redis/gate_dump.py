"""What there is of gates in canonical form; see the memory store's `dump`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynenc.backends.canonical import plain
from pynenc.backends.redis.caller import Caller
from pynenc.backends.redis.codec import pack, unpack
from pynenc.backends.redis.gates import breaker_of, pairs_of, setting_of
from pynenc.io import Op


def dump_gates(caller: Caller, live: Sequence[bytes]) -> Op[dict[str, Any]]:
    """Return the canonical form; parts without anything in them are left out."""
    lanes, resumes, units, flows, rates, breakers, settings, timers = yield from caller.read("dump_gates", pack(live))
    parts: dict[str, dict[str, Any]] = {
        "lanes": {
            first.hex(): {"members": [each.hex() for each in members], "parked": _text(parked), "trial": _text(trial)}
            for first, members, parked, trial in lanes
        },
        "resumes": {each.hex(): {"parked": _text(parked), "trial": _text(trial)} for each, parked, trial in resumes},
        "holders": {
            name.decode(): {each.hex(): _unit(unit) for each, unit in sorted(pairs_of(held))}
            for name, held in units
            if held
        },
        "rates": {name.decode(): int(arrival) for name, arrival in pairs_of(rates)},
        "breakers": {name.decode(): _breaker(name, fields) for name, fields in pairs_of(breakers)},
        "settings": {name.decode(): plain(setting_of(name, unpack(numbers))) for name, numbers in pairs_of(settings)},
        "flows": {
            queue.decode(): {
                "virtual": None if virtual is False else int(float(virtual)),
                "tags": {flow.decode(): unpack(share)[0] for flow, share in sorted(pairs_of(shares))},
            }
            for queue, virtual, shares in flows
        },
        "timers": {name.decode(): int(due) for name, due in pairs_of(timers)},
    }
    return {name: dict(sorted(part.items())) for name, part in parts.items() if part}


def _text(name: Any) -> str | None:
    return name.decode() if name else None


def _unit(data: bytes) -> dict[str, Any]:
    since, lenders, limit = unpack(data)
    return {"since_us": since, "lenders": [each.hex() for each in lenders], "limit": limit}


def _breaker(name: bytes, data: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = plain(breaker_of(name, unpack(data)))
    del fields["name"]
    return fields
