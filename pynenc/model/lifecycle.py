"""The lifecycle of an invocation: which status may follow which, and drawings of it for people."""

from __future__ import annotations

from pynenc.model.lifecycle_data import MEANINGS, SKIPPING_RUNNING, TRANSITIONS
from pynenc.model.status import InvocationStatus as Status

QUEUE, RUNNER, FINAL = "In the queue", "With a runner", "Final"

PHASES: dict[str, tuple[Status, ...]] = {
    QUEUE: (*(status for status in Status if status.is_available_for_run()), Status.CONCURRENCY_CONTROLLED),
    RUNNER: (Status.PENDING, Status.RUNNING, Status.PAUSED),
    FINAL: tuple(status for status in Status if status.is_final()),
}


def may_follow(before: Status | None, after: Status) -> bool:
    """Whether `after` may be the next status after `before`; None: the beginning."""
    if before is Status.PENDING and after in SKIPPING_RUNNING:
        return True
    if any(source is before and target is after for source, target, _ in TRANSITIONS):
        return True
    # Its lane may stand before a closed gate already: then nobody sees the status in between.
    at_once = after is Status.CONCURRENCY_CONTROLLED
    return at_once and any(may_follow(before, status) for status in PHASES[QUEUE] if status is not after)


def arrivals(status: Status) -> list[str]:
    """Return how an invocation gets into `status`, a line for each cause: `RUNNING, PAUSED: runner lost`."""
    causes: dict[str, list[Status | None]] = {}
    for before, after, why in TRANSITIONS:
        if after is status:
            causes.setdefault(why, []).append(before)
    return [_line(sources, why) for why, sources in causes.items()]


def _line(sources: list[Status | None], why: str) -> str:
    known = {source for source in sources if source is not None}
    if not known:
        return why
    live = {*PHASES[QUEUE], *PHASES[RUNNER]}
    everything = {
        "any in the queue": set(PHASES[QUEUE]),
        "any that is final": set(PHASES[FINAL]),
        "any that lives": live,
    }
    for words, group in everything.items():
        if known == group:
            return f"{words}: {why}"
    return f"{', '.join(status.name for status in Status if status in known)}: {why}"


def render_text() -> str:
    """Return the lifecycle as text: each status, what it means, and from where it is reached."""
    lines = ["The life of an invocation: each status, and from which others it is reached (←)."]
    for phase, statuses in PHASES.items():
        lines += ["", phase]
        for status in statuses:
            lines.append(f"  {status.name:<30}{MEANINGS[status]}")
            lines += [f"  {'':<28}← {arrival}" for arrival in arrivals(status)]
    return "\n".join(lines)


def render_svg() -> str:
    """Return the lifecycle as an SVG document that follows the reader's light or dark theme."""
    from pynenc.model.lifecycle_svg import draw

    return draw()
