"""The whole state in canonical form, equal for every store after equal operations.

A dictionary of these keys; ids are hexadecimal text, bytes are hexadecimal text, enums their values, instants and
durations integers in microseconds, absent values None:

* `calls`, `controls`, `outcomes`: {id: fields of `Call`, `Control`, `Outcome` without the id}
* `attempts`: {id: [fields of `Attempt`, in the order written]}
* `waits`: {waiter: sorted ids it still waits for}
* `dedupe`: {key: id}
* `sessions`: {number as text: fields of `SessionRow` without `session`; `info` as its fields without `doorbell`}
* `inbox`: {number as text: [messages as dictionaries with their tag under `type`]}, sessions without any left out
* `watches`: {number as text: sorted ids}, sessions without any left out
* `progress`: {id: note}
* `paused`: [fields of `Pause`, by queue]
* `gates`, only if there is any of it, and each part only if it has something in it:
  * `lanes`: {first member: its `members` in order, the gate before which it is `parked`, the one of its `trial`}
  * `resumes`: {id: `parked`, `trial`}, of resumable invocations that have one of them
  * `holders`: {gate: {id: `since_us`, `lenders`, `limit`}}
  * `rates`: {gate: theoretical arrival time, if it is still to come}
  * `breakers`: {gate: `failures`, `open_since_us`, `open_until_us`}
  * `settings`: {name: fields of the setting with its tag under `type`}
  * `flows`: {queue: `virtual` time (None before the first start), `tags` by flow}, of flows that have a token
  * `timers`: {gate: when it opens}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pynenc.backends.canonical import plain, session_fields, without_id
from pynenc.backends.memory.gate_facts import dump_gates
from pynenc.backends.memory.queries import control_of
from pynenc.backends.memory.sessions import row_of
from pynenc.backends.memory.state import MemoryState


def dump(state: MemoryState, now_us: int) -> dict[str, Any]:
    """Return the canonical form of the memory store."""
    gates = dump_gates(state, now_us)
    return {
        **({"gates": gates} if gates else {}),
        "calls": _by_id(state.calls),
        "controls": {each.hex(): plain(control_of(record)) for each, record in sorted(state.records.items())},
        "outcomes": _by_id(state.outcomes),
        "attempts": {each.hex(): [plain(row) for row in rows] for each, rows in sorted(state.attempts.items()) if rows},
        "waits": {
            each.hex(): _sorted_ids(record.edges) for each, record in sorted(state.records.items()) if record.edges
        },
        "dedupe": {key.hex(): each.hex() for key, each in sorted(state.dedupe.items())},
        "sessions": {str(number): session_fields(row_of(state, each)) for number, each in state.sessions.items()},
        "inbox": {
            str(number): [plain(message) for message in each.inbox]
            for number, each in state.sessions.items()
            if each.inbox
        },
        "watches": {str(number): _sorted_ids(each.watched) for number, each in state.sessions.items() if each.watched},
        "progress": {each.hex(): note.hex() for each, note in sorted(state.progress.items())},
        "paused": [plain(each) for _, each in sorted(state.paused.items())],
    }


def _by_id(records: Mapping[Any, Any]) -> dict[str, Any]:
    found = {}
    for invocation_id, record in sorted(records.items()):
        found[invocation_id.hex()] = without_id(record)
    return found


def _sorted_ids(ids: Iterable[bytes]) -> list[str]:
    return sorted(each.hex() for each in ids)
