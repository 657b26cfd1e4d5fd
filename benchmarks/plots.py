"""Line charts as SVG, written by hand like the picture of the lifecycle.

No plotting library: four small charts do not pay for one, the text is the same on every machine, so that a test can
hold the committed files to the figures, and they follow the reader's light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from msgspec import Struct

from benchmarks.record import Series

_WIDTH, _HEIGHT = 430, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 46, 78
_COLOURS = ("a", "b", "c", "d")

_STYLE = """
  text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px; fill: #1d2129; }
  .page { fill: #faf9f6; } .title { font-size: 14px; font-weight: 600; } .tick { fill: #5f6672; }
  .grid { stroke: #d9d5cb; } .line { fill: none; stroke-width: 2; }
  .line.a { stroke: #2f6f8f; } .line.b { stroke: #c0443c; } .line.c { stroke: #3d8b55; } .line.d { stroke: #d08a1d; }
  .dot.a { fill: #2f6f8f; } .dot.b { fill: #c0443c; } .dot.c { fill: #3d8b55; } .dot.d { fill: #d08a1d; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8e6e1; } .page { fill: #14171c; } .tick { fill: #9aa2ae; } .grid { stroke: #2c323c; }
  }
"""


class Chart(Struct, frozen=True, kw_only=True):
    """One panel: lines over the same values, which are spaced evenly whatever they are."""

    title: str
    across: str
    """What the values across are."""
    series: Sequence[Series]
    logarithmic: bool = False


def draw(charts: Sequence[Chart]) -> str:
    """Return an SVG document with the charts beside each other."""
    width = _WIDTH * len(charts)
    label = escape("; ".join(chart.title for chart in charts), quote=True)
    panels = (
        f'<g transform="translate({index * _WIDTH} 0)">\n{_panel(chart)}\n</g>' for index, chart in enumerate(charts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{label}">\n'
        f'<style>{_STYLE}</style>\n<rect class="page" width="{width}" height="{_HEIGHT}" rx="14"/>\n'
        + "\n".join(panels)
        + "\n</svg>\n"
    )


def _panel(chart: Chart) -> str:
    values = [value for series in chart.series for _, value in series.points]
    ticks = _powers(min(values), max(values)) if chart.logarithmic else _steps(max(values))
    place = _scale(ticks[0], ticks[-1], logarithmic=chart.logarithmic)
    across = sorted({at for series in chart.series for at, _ in series.points})
    gap = (_WIDTH - _LEFT - _RIGHT) / max(1, len(across) - 1)
    columns = {at: _LEFT + index * gap for index, at in enumerate(across)}
    return "\n".join(
        [
            f'<text class="title" x="{_LEFT}" y="26">{escape(chart.title)}</text>',
            *_grid(ticks, place),
            *(
                f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{at:g}</text>'
                for at, x in columns.items()
            ),
            f'<text class="tick" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - _BOTTOM + 36}" text-anchor="end">'
            f"{escape(chart.across)}</text>",
            *_lines(chart.series, columns, place),
        ]
    )


def _grid(ticks: Sequence[float], place: Callable[[float], float]) -> Iterator[str]:
    for tick in ticks:
        y = place(tick)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>'


def _lines(lines: Sequence[Series], columns: dict[float, float], place: Callable[[float], float]) -> Iterator[str]:
    for index, (series, colour) in enumerate(zip(lines, _COLOURS, strict=False)):
        points = [(columns[at], place(value)) for at, value in series.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        yield f'<path class="line {colour}" d="M{path}"/>'
        yield from (f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)
        x, y = _LEFT + index * 120, _HEIGHT - 18
        yield f'<circle class="dot {colour}" cx="{x + 4}" cy="{y - 4}" r="4"/>'
        yield f'<text x="{x + 14}" y="{y}">{escape(series.name)}</text>'


def _scale(low: float, high: float, *, logarithmic: bool) -> Callable[[float], float]:
    """Return what turns a value into a height."""
    if logarithmic:
        below = _scale(math.log(low), math.log(high), logarithmic=False)
        return lambda value: below(math.log(value))
    bottom, height = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    return lambda value: bottom - height * (value - low) / (high - low)


def _steps(highest: float) -> list[float]:
    """Return four to eight round numbers from zero to at least `highest`."""
    magnitude = 10.0 ** math.floor(math.log10(highest))
    step = next(part * magnitude for part in (0.2, 0.5, 1.0, 2.0) if highest / (part * magnitude) <= 7)
    return [index * step for index in range(math.ceil(highest / step) + 1)]


def _powers(lowest: float, highest: float) -> list[float]:
    """Return numbers of the kind 1, 2, 5, 10 from at most `lowest` to at least `highest`."""
    exponents = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    numbers = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    first = max(number for number in numbers if number <= lowest)
    last = min((number for number in numbers if number >= highest), default=numbers[-1])
    last = max(last, next(number for number in numbers if number > first))
    return [number for number in numbers if first <= number <= last]
