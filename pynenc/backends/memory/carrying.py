"""The memory store as one side of a move."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from pynenc.backends.memory import queries
from pynenc.backends.memory.administration import purge
from pynenc.backends.memory.atomic import PLACE
from pynenc.backends.memory.gating import Breaker, Unit
from pynenc.backends.memory.sessions import row_of
from pynenc.backends.memory.state import Kept, MemoryState, Record, Session, is_gated
from pynenc.backends.memory.submitting import add_edge
from pynenc.model.ids import InvocationId
from pynenc.model.records import AfterPolicy, Dedupe
from pynenc.ports.transfer import (
    Carried,
    CarriedBreaker,
    CarriedData,
    CarriedUnit,
    Header,
    Seal,
    SealReply,
    SealState,
    Survey,
    overtaken,
    seal_of,
    text_of,
)


def survey(state: MemoryState) -> Survey:
    """Return what is there."""
    alive = tuple(row_of(state, each) for each in state.sessions.values() if each.ended_at_us is None)
    return Survey(seal=seal_of(state.seal), invocations=len(state.calls), sessions=alive)


def seal(state: MemoryState, mark: Seal, instead_of: Seal | None) -> SealReply:
    """Close the store, if it may be."""
    if state.seal == mark.text:
        return SealReply.SEALED
    if state.seal != text_of(instead_of):
        return SealReply.CHANGED
    if mark.state is not SealState.MOVED:
        if any(each.ended_at_us is None for each in state.sessions.values()):
            return SealReply.BUSY
        if mark.state is SealState.ARRIVING and (state.calls or state.blobs):
            return SealReply.OCCUPIED
    state.seal = mark.text
    return SealReply.SEALED


def unseal(state: MemoryState, mark: Seal) -> bool:
    """Let everybody in again; return whether they may come in."""
    if state.seal == mark.text:
        state.seal = ""
    return not state.seal


def require(state: MemoryState, mark: Seal) -> None:
    """Do nothing under this seal.

    Raises:
        StoreError: it is not there.
    """
    if state.seal != mark.text:
        raise overtaken(PLACE)


def header(state: MemoryState) -> Header:
    """Return numbers, queues and sessions."""
    return Header(
        sequence=state.next_sequence,
        last_session=state.last_session,
        paused=tuple(each for _, each in sorted(state.paused.items())),
        queues=tuple(sorted(state.queues)),
        sessions=tuple(row_of(state, each) for each in state.sessions.values() if each.ended_at_us is not None),
        settings=tuple(state.gating.set_by_hand()),
        rates=tuple(sorted((name, state.gating.arrival_us(name)) for name in state.gating.rates)),
        breakers=tuple(carried_breaker(name, each) for name, each in sorted(state.gating.breakers.items())),
    )


def put_header(state: MemoryState, given: Header) -> None:
    """Go on where the other store stopped."""
    state.next_sequence = max(state.next_sequence, given.sequence)
    state.last_session = max(state.last_session, given.last_session)
    state.paused.update({each.queue: each for each in given.paused})
    state.queues.update(given.queues)
    state.gating.lanes.settings.update({setting.name: setting for setting in given.settings})
    for name, arrival_us in given.rates:
        state.gating.put_arrival(name, max(arrival_us, state.gating.arrival_us(name)))
    for breaker in given.breakers:
        state.gating.breakers[breaker.name] = Breaker(breaker.failures, breaker.open_since_us, breaker.open_until_us)
    for row in given.sessions:
        lease_us = max(0, row.expires_at_us - row.opened_at_us)
        session = Session(row.session, row.info, lease_us, row.opened_at_us, row.expires_at_us, row.ended_at_us)
        state.sessions.setdefault(row.session, session)


def carry_out(state: MemoryState, after: InvocationId | None, limit: int) -> list[Carried]:
    """Return the next invocations by id."""
    ids = sorted(each for each in state.calls if after is None or each > after)[:limit]
    return [_carried(state, each) for each in ids]


def _carried(state: MemoryState, invocation_id: InvocationId) -> Carried:
    snapshot = queries.snapshot(state, invocation_id)
    assert snapshot is not None
    record = state.records.get(invocation_id)
    kept = state.kept.get(invocation_id)
    if record is not None:
        kept = Kept(record.band, record.retention_us, record.max_crashes, record.dedupe)
    assert kept is not None
    # Where its token waits is not carried: the other store finds out.
    control = None if snapshot.control is None else structs.replace(snapshot.control, gate=None)
    return Carried(
        snapshot=structs.replace(snapshot, control=control),
        band=kept.band,
        retention_us=kept.retention_us,
        max_crashes=kept.max_crashes,
        after_policy=record.after_policy if record is not None and record.edges else AfterPolicy.ALL_SUCCEEDED,
        edges=() if record is None else tuple(sorted(record.edges)),
        dedupe=_held(state, invocation_id, kept.dedupe),
        units=() if record is None else _units(state, record),
    )


def _units(state: MemoryState, record: Record) -> tuple[CarriedUnit, ...]:
    held = ((gate.name, state.gating.holders.get(gate.name, {}).get(record.id)) for gate in record.call.gates)
    return tuple(
        CarriedUnit(gate=name, since_us=unit.since_us, limit=unit.limit) for name, unit in held if unit is not None
    )


def carried_breaker(name: str, breaker: Breaker) -> CarriedBreaker:
    """Return what is carried of a breaker."""
    return CarriedBreaker(
        name=name,
        failures=breaker.failures,
        open_since_us=breaker.open_since_us,
        open_until_us=breaker.open_until_us,
    )


def _held(state: MemoryState, invocation_id: InvocationId, dedupe: Dedupe | None) -> Dedupe | None:
    return dedupe if dedupe is not None and state.dedupe.get(dedupe.key) == invocation_id else None


def carry_in(state: MemoryState, items: Sequence[Carried], now_us: int) -> None:
    """Keep invocations as they are; those that are known are passed over."""
    for item in items:
        if item.snapshot.call.invocation_id not in state.calls:
            _take_in(state, item, now_us)


def _take_in(state: MemoryState, item: Carried, now_us: int) -> None:
    call, outcome = item.snapshot.call, item.snapshot.outcome
    each = call.invocation_id
    state.calls[each] = call
    state.queues.add(call.queue)
    if call.parent_id is not None:
        state.children.setdefault(call.parent_id, set()).add(each)
    if item.snapshot.attempts:
        state.attempts[each] = list(item.snapshot.attempts)
    if item.snapshot.progress:
        state.progress[each] = item.snapshot.progress
    if item.dedupe is not None:
        state.dedupe[item.dedupe.key] = each
    if outcome is None:
        _take_in_live(state, item, now_us)
        return
    state.keep_outcome(outcome, Kept(item.band, item.retention_us, item.max_crashes, item.dedupe))


def _take_in_live(state: MemoryState, item: Carried, now_us: int) -> None:
    control = item.snapshot.control
    assert control is not None
    record = Record(
        call=item.snapshot.call,
        rank=control.rank,
        registered_at_us=control.registered_at_us,
        retention_us=item.retention_us,
        max_crashes=item.max_crashes,
        state=control.state,
        reason=control.reason,
        epoch=control.epoch,
        attempt=control.attempt,
        crashes=control.crashes,
        worker=control.worker,
        not_before_us=control.not_before_us,
        expires_at_us=control.expires_at_us,
        wait_until_us=control.wait_until_us,
        claimed_at_us=control.claimed_at_us,
        started_at_us=control.started_at_us,
        suspended_at_us=control.suspended_at_us,
        cancel_requested=control.cancel_requested,
        dedupe=item.dedupe,
        gated=is_gated(item.snapshot.call),
        need_left=control.need_left,
        after_policy=item.after_policy,
    )
    state.records[record.id] = record
    for waited in item.edges:
        add_edge(state, record, waited)
    for unit in item.units:
        state.gating.holders.setdefault(unit.gate, {})[record.id] = Unit(unit.since_us, (), unit.limit)
    state.index(record, now_us)


def data_out(state: MemoryState, after: bytes | None, limit: int) -> list[CarriedData]:
    """Return the next client data by key."""
    keys = sorted(key for key in state.blobs if after is None or key > after)[:limit]
    return [CarriedData(key=key, data=state.blobs[key][0], written_at_us=state.blobs[key][1]) for key in keys]


def data_in(state: MemoryState, items: Sequence[CarriedData]) -> None:
    """Keep client data with its age."""
    for item in items:
        state.blobs[item.key] = (item.data, item.written_at_us)


def clear(state: MemoryState) -> None:
    """Forget everything but the seal."""
    purge(state, None)
    for kept in (state.sessions, state.paused, state.queues, state.gating.lanes.settings):
        kept.clear()
