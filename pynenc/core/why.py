"""Why an invocation is not running: the facts the store decides by, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.core.times import duration_text, instant_text
from pynenc.core.why_gates import what_is_closed
from pynenc.errors import InvocationNotFound
from pynenc.io import Op
from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import Awaited, Control, Outcome, Pause, SessionRow, Standing
from pynenc.model.status import InvocationStatus, Reason, State
from pynenc.ports.backend import Backend

_NAMED = 3
"""How many of several things a sentence names."""
_MOST_AHEAD = 256
"""So much a runner claims ahead of its slots at most."""


def explain(backend: Backend, invocation_id: InvocationId) -> Op[str]:
    """Return the sentence.

    Raises:
        InvocationNotFound: nobody knows the id.
    """
    standing = yield from backend.orchestrator.explain(invocation_id)
    if standing is None:
        raise InvocationNotFound(f"no invocation has the id {id_text(invocation_id)}, or it was purged")
    return sentence(standing)


def sentence(standing: Standing) -> str:
    """Say why the invocation is not running, or what it does, with names and times."""
    call = standing.snapshot.call
    subject = f"{call.task_id} {id_text(call.invocation_id)}"
    if standing.snapshot.outcome is not None:
        return f"{subject} {_ended(standing.snapshot.outcome)}"
    control = standing.snapshot.control
    if control is None:
        return f"{subject} has neither a control record nor an outcome; run `pynenc doctor`"
    return f"{subject} {_alive(standing, control)}"


def _ended(outcome: Outcome) -> str:
    at = instant_text(outcome.ended_at_us)
    reason = f": {outcome.reason}" if outcome.reason else ""
    match outcome.status:
        case InvocationStatus.SUCCESS:
            return f"succeeded at {at} (attempt {outcome.attempt})."
        case InvocationStatus.FAILED:
            return f"failed at {at} in attempt {outcome.attempt}{reason}."
        case InvocationStatus.CANCELLED:
            return f"was cancelled at {at}{reason}."
        case InvocationStatus.EXPIRED:
            return f"expired at {at}: it had not started in time{reason}."
        case InvocationStatus.CONCURRENCY_CONTROLLED_FINAL:
            return f"was dropped at {at}{reason}."
        case _:
            return f"ended {outcome.status.value.upper()} at {at}{reason}."


def _alive(standing: Standing, control: Control) -> str:
    match control.state:
        case State.OWNED:
            return _owned(standing, control)
        case State.SUSPENDED:
            return _suspended(standing, control)
        case State.BLOCKED:
            return _blocked(standing, control)
        case _:
            return _resumable(standing, control) if control.owner is not None else _ready(standing, control)


def _owned(standing: Standing, control: Control) -> str:
    runner = _name(standing.owner)
    cancelling = "; it was asked to cancel" if control.cancel_requested else ""
    if control.started_at_us is None:
        held = _ago(standing, control.claimed_at_us)
        return f"is held by {runner} since {held} and starts as soon as one of its slots is free{cancelling}."
    worker = f" on worker {control.worker}" if control.worker else ""
    began = _ago(standing, control.started_at_us)
    return f"is running on {runner}{worker} since {began} (attempt {control.attempt}){cancelling}."


def _suspended(standing: Standing, control: Control) -> str:
    until = "" if control.wait_until_us is None else f", at the longest until {instant_text(control.wait_until_us)}"
    since = _ago(standing, control.suspended_at_us)
    crowded = f", which has {_crowd(standing.owner)}" if standing.owner and _at_bound(standing.owner) else ""
    return (
        f"is waiting for {_awaited(standing)} since {since}{until}; "
        f"it holds no slot of {_name(standing.owner)}{crowded}."
    )


def _resumable(standing: Standing, control: Control) -> str:
    if control.gate is not None and (closed := what_is_closed(standing)):
        return f"has what it waited for and goes on as soon as it can: {closed}."
    owner = standing.owner
    slots = f"all {owner.info.slots} slots of {owner.info.name} are busy" if owner else "its runner is gone"
    return f"has what it waited for and goes on as soon as its runner has a free slot: {slots}."


def _blocked(standing: Standing, control: Control) -> str:
    if control.need_left > 0:
        return f"comes after {_awaited(standing)}."
    due = control.not_before_us or standing.now_us
    when = f"{instant_text(due)} (in {duration_text(due - standing.now_us)})"
    if control.reason in (Reason.RETRY, Reason.TIMED_OUT):
        verb = "timed out" if control.reason is Reason.TIMED_OUT else "failed"
        return f"{verb} in attempt {control.attempt} and retries at {when}{_last_error(standing)}."
    if control.reason is Reason.RELEASED:
        return f"was handed back{_last_error(standing)} and is tried again at {when}."
    return f"does not run before {when}."


def _ready(standing: Standing, control: Control) -> str:
    queue = standing.snapshot.call.queue
    if standing.pause is not None:
        return f"is not run because queue {queue!r} is paused{pause_text(standing.pause, standing.now_us)}."
    if not standing.listeners:
        return f"is not run because no runner listens on queue {queue!r}."
    back = _why_back(control)
    if closed := what_is_closed(standing):
        return f"waits{back} because {closed}; {_ahead(standing)}."
    if all(_at_bound(row) for row in standing.listeners):
        crowds = ", ".join(f"{_name(row)} has {_crowd(row)}" for row in standing.listeners[:_NAMED])
        return (
            f"waits{back} because {crowds}: until some of them go on, only what these need is run; {_ahead(standing)}."
        )
    free = [row for row in standing.listeners if row.has_room and not _at_bound(row)]
    if not free:
        return f"waits{back} because {_busy(standing.listeners)}; {_ahead(standing)}."
    return f"is next for {_name(free[0])}{back}; {_ahead(standing)}."


def pause_text(pause: Pause, now_us: int) -> str:
    """Return what follows after "paused": by whom, since when and what for."""
    by = f" by {pause.by}" if pause.by else ""
    reason = f": {pause.reason}" if pause.reason else ""
    return f"{by} since {instant_text(pause.at_us)} ({duration_text(max(0, now_us - pause.at_us))}){reason}"


def _why_back(control: Control) -> str:
    match control.reason:
        case Reason.RETRY | Reason.TIMED_OUT:
            return f" for its attempt {control.attempt + 1}"
        case Reason.RUNNER_LOST_PENDING | Reason.RUNNER_LOST_RUNNING:
            return " to be run again (its runner was lost)"
        case Reason.WORKER_CRASHED:
            return f" to be run again (its worker died, {control.crashes} so far)"
        case _:
            return ""


def _at_bound(row: SessionRow) -> bool:
    """Whether as many bodies of a runner wait as may."""
    return 0 < row.info.max_parked <= _waiting(row)


def _waiting(row: SessionRow) -> int:
    # Coroutines that wait are OWNED, like those that run and what was claimed ahead.
    beyond = row.running - row.info.slots
    return beyond if beyond > _MOST_AHEAD else row.owned - row.running


def _crowd(row: SessionRow) -> str:
    return f"as many bodies that wait for others as it may ({_waiting(row)}, max_parked={row.info.max_parked})"


def _busy(listeners: Sequence[SessionRow]) -> str:
    named = ", ".join(f"all {row.info.slots} slots of runner {row.info.name} are busy" for row in listeners[:_NAMED])
    more = len(listeners) - _NAMED
    return named + (f" and so are those of {more} more" if more > 0 else "")


def _ahead(standing: Standing) -> str:
    return "nothing is ahead of it" if standing.ahead == 0 else f"{standing.ahead} ahead of it in the queue"


def _awaited(standing: Standing) -> str:
    named = ", ".join(_describe(awaited) for awaited in standing.waits[:_NAMED])
    more = standing.waits_total - min(_NAMED, len(standing.waits))
    return named + (f" and {more} more" if more > 0 else "")


def _describe(awaited: Awaited) -> str:
    return f"{awaited.task_id} {id_text(awaited.invocation_id)} ({awaited.status.value})"


def _last_error(standing: Standing) -> str:
    attempts = standing.snapshot.attempts
    detail = attempts[-1].detail if attempts else ""
    return f": {detail}" if detail else ""


def _name(row: SessionRow | None) -> str:
    return f"runner {row.info.name}" if row else "a runner that is gone"


def _ago(standing: Standing, at_us: int | None) -> str:
    if at_us is None:
        return "just now"
    return f"{instant_text(at_us)} ({duration_text(standing.now_us - at_us)})"
