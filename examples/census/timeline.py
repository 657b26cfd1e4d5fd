"""The timeline: what each worker process ran, and what the kill did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from examples.census.svg import drawing, element, text, ticks, title
from examples.census.trace import Kill, Span, SpanEnd, Trace

_WIDTH = 1060.0
_NAMES = 150.0
_LANE = 34.0
_GAP = 12.0
_TOP = 26.0
_PARKED = 46.0


class _Scale:
    """Seconds to horizontal places."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin = begin
        self.end = end

    def __call__(self, seconds: float) -> float:
        part = (seconds - self.begin) / (self.end - self.begin)
        return _NAMES + min(1.0, max(0.0, part)) * (_WIDTH - _NAMES - 12)

    def shows(self, span: Span) -> bool:
        return span.end >= self.begin and span.begin <= self.end


def draw_timeline(trace: Trace, colours: Mapping[str, int]) -> str:
    """Draw the whole census: one lane per worker process, above them how many tasks were parked.

    Args:
        colours: number of the colour of each group; others share the last.
    """
    scale = _Scale(0.0, trace.length)
    lanes = _lanes(trace.workers, _TOP + _PARKED + _GAP)
    bottom = _bottom(lanes)
    parts = _axis(scale, bottom) + _parked(trace.spans, scale) + _lane_names(trace, lanes)
    parts += [
        _box(span, scale, lanes[span.worker], _LANE, colours)
        for span in sorted(trace.spans, key=lambda span: (span.how is SpanEnd.LOST, span.again))
        if not span.parked and span.worker in lanes
    ]
    for kill in trace.kills:
        parts += _mark(kill, scale, lanes.get(kill.worker, _TOP), bottom)
    return drawing(_WIDTH, bottom + 30, parts, label="Timeline of invocations over workers", class_="timeline")


def draw_closely(trace: Trace, kill: Kill, colours: Mapping[str, int]) -> str:
    """Draw the moments around a kill, with what was lost joined to where it ran again."""
    lost = [span for span in trace.lost if span.worker == kill.worker and not span.parked]
    again = [later for span in lost if (later := trace.run_again(span)) is not None]
    begin = min([kill.at - 0.12, *(span.begin - 0.02 for span in lost)])
    end = max([kill.at + 0.3, *(span.end + 0.05 for span in again)])
    scale = _Scale(max(begin, kill.at - 0.6), min(end, kill.at + 1.5))
    shown = [span for span in trace.spans if scale.shows(span) and not span.parked]
    workers = [worker for worker in trace.workers if any(span.worker == worker for span in shown)]
    lanes = _lanes(workers, _TOP)
    bottom = _bottom(lanes)
    parts = _axis(scale, bottom) + _lane_names(trace, lanes)
    for worker in workers:
        parts += _packed([span for span in shown if span.worker == worker], scale, lanes[worker], colours)
    parts += _mark(kill, scale, lanes.get(kill.worker, _TOP), bottom)
    parts += _joins(trace, lost, scale, lanes)
    return drawing(_WIDTH, bottom + 30, parts, label="The moments around the kill", class_="timeline")


def _lanes(workers: Sequence[int], top: float) -> dict[int, float]:
    return {worker: top + index * (_LANE + _GAP) for index, worker in enumerate(workers)}


def _bottom(lanes: Mapping[int, float]) -> float:
    return max(lanes.values(), default=_TOP) + _LANE + 6


def _axis(scale: _Scale, bottom: float) -> list[str]:
    parts = []
    for tick in ticks(scale.end - scale.begin):
        x = scale(scale.begin + tick)
        at = scale.begin + tick
        parts.append(element("line", x1=x, x2=x, y1=_TOP - 6, y2=bottom, class_="grid"))
        parts.append(
            text(f"{at:.2f} s" if scale.begin else f"{at:g} s", x, bottom + 16, text_anchor="middle", class_="tick")
        )
    return parts


def _lane_names(trace: Trace, lanes: Mapping[int, float]) -> list[str]:
    killed = {kill.worker for kill in trace.kills}
    return [
        text(
            f"process {worker}",
            _NAMES - 12,
            top + _LANE / 2 + 4,
            text_anchor="end",
            class_="name killed" if worker in killed else "name",
        )
        for worker, top in lanes.items()
    ]


def _parked(spans: Sequence[Span], scale: _Scale) -> list[str]:
    """Draw how many tasks waited for others at each moment."""
    parked = [span for span in spans if span.parked and span.end > span.begin]
    changes = sorted([(span.begin, 1) for span in parked] + [(span.end, -1) for span in parked])
    if not changes:
        return []
    levels = [(0.0, 0)]
    for at, change in changes:
        levels.append((at, levels[-1][1] + change))
    most = max(level for _, level in levels)
    base = _TOP + _PARKED - 8
    path = f"M{scale(0):.1f} {base:.1f}"
    for (_, before), (at, level) in pairwise(levels):
        x = scale(at)
        path += f"L{x:.1f} {base - before / most * 34:.1f}L{x:.1f} {base - level / most * 34:.1f}"
    return [
        element("path", title(f"up to {most} tasks waited at once"), d=path + "Z", class_="parked"),
        text("waiting", _NAMES - 12, base - 14, text_anchor="end", class_="name"),
        text(f"up to {most}, no slot held", _NAMES - 12, base, text_anchor="end", class_="tick"),
    ]


def _box(span: Span, scale: _Scale, y: float, height: float, colours: Mapping[str, int]) -> str:
    x = scale(span.begin)
    kind = "lost" if span.how is SpanEnd.LOST else "again" if span.again else f"g{colours.get(span.group, 0)}"
    width = max(0.8, scale(span.end) - x)
    ended = {"lost": "lost with its worker", "again": "run again after the kill"}.get(kind, "")
    hint = f"{span.label}, {(span.end - span.begin) * 1000:.1f} ms{'; ' + ended if ended else ''}"
    return element("rect", title(hint), x=x, y=y, width=width, height=height, class_=f"run {kind}")


def _packed(spans: Sequence[Span], scale: _Scale, top: float, colours: Mapping[str, int]) -> list[str]:
    """Draw a lane; runs that were reported together, and so overlap, share its height."""
    free: list[float] = []
    rows: list[tuple[int, Span]] = []
    for span in sorted(spans, key=lambda span: (span.begin, span.end)):
        row = next((index for index, at in enumerate(free) if at <= span.begin + 1e-4), len(free))
        free[row : row + 1] = [span.end]
        rows.append((row, span))
    height = _LANE / max(1, len(free))
    return [_box(span, scale, top + row * height, height - (height > 4), colours) for row, span in rows]


def _mark(kill: Kill, scale: _Scale, lane: float, bottom: float) -> list[str]:
    x = scale(kill.at)
    middle = lane + _LANE / 2
    cross = f"M{x - 6:.1f} {middle - 6:.1f}l12 12M{x + 6:.1f} {middle - 6:.1f}l-12 12"
    near_the_end = x > _WIDTH - 220
    return [
        element("line", x1=x, x2=x, y1=_TOP - 8, y2=bottom, class_="kill"),
        element("path", d=cross, class_="kill cross"),
        text(
            f"SIGKILL to process {kill.worker}",
            x - 6 if near_the_end else x + 6,
            _TOP - 10,
            text_anchor="end" if near_the_end else "start",
            class_="kill",
        ),
    ]


def _joins(trace: Trace, lost: Sequence[Span], scale: _Scale, lanes: Mapping[int, float]) -> list[str]:
    parts = []
    for span in lost:
        again = trace.run_again(span)
        if again is None or again.worker not in lanes or again.begin > scale.end:
            continue
        x1, x2 = scale(span.end), scale(again.begin)
        y1, y2 = lanes[span.worker] + _LANE / 2, lanes[again.worker] + _LANE / 2
        bend = (x2 - x1) / 2
        curve = f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        parts.append(element("path", d=curve, class_="join"))
        parts.append(text(span.label, x2 + 6, lanes[again.worker] + _LANE + 11, class_="joined"))
    return parts
