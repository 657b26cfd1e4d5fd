"""The lifecycle drawn by hand: three columns of cards, and the arrows between them."""

from __future__ import annotations

from html import escape
from textwrap import wrap

from pynenc.model.lifecycle import FINAL, PHASES, QUEUE, RUNNER, arrivals
from pynenc.model.status import InvocationStatus as Status

_MARGIN, _GAP, _WIDTH = 28, 120, 330
_TOP, _CARD_TOP, _CARD_GAP, _CARD_BOTTOM, _LINE = 84, 50, 12, 12, 18
_TITLE_HEIGHT = 30
_LONGEST_LINE = 38
_COLUMNS = {phase: _MARGIN + index * (_WIDTH + _GAP) for index, phase in enumerate(PHASES)}
_ACCENTS = {Status.SUCCESS: "good", Status.FAILED: "bad", Status.RUNNING: "live", Status.PENDING: "live"}

_STYLE = """
  text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1d2129; }
  .page { fill: #faf9f6; } .panel { fill: #f1eee7; stroke: #d9d5cb; } .card { fill: #ffffff; stroke: #d9d5cb; }
  .phase { font-size: 17px; font-weight: 650; } .name { font-size: 14.5px; font-weight: 600; }
  .from { font-size: 12.5px; fill: #5f6672; } .label { font-size: 13px; font-weight: 600; fill: #2f6f8f; }
  .arrow { stroke: #2f6f8f; stroke-width: 2; fill: none; } marker path { fill: #2f6f8f; }
  .dot { fill: #9aa2ae; } .dot.live { fill: #d08a1d; } .dot.good { fill: #3d8b55; } .dot.bad { fill: #c0443c; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8e6e1; } .page { fill: #14171c; } .panel { fill: #1a1e25; stroke: #2c323c; }
    .card { fill: #232831; stroke: #363c47; } .from { fill: #9aa2ae; } .label { fill: #6fb3d2; }
    .arrow { stroke: #6fb3d2; } marker path { fill: #6fb3d2; }
  }
"""


def draw() -> str:
    """Return the drawing as an SVG document."""
    bottom = max(_TOP + _CARD_TOP + sum(map(_height, statuses)) for statuses in PHASES.values())
    width = max(_COLUMNS.values()) + _WIDTH + _MARGIN
    height = bottom + 74
    parts = [_column(phase, bottom) for phase in PHASES] + _arrows(bottom)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="The life of an invocation">\n<style>{_STYLE}</style>\n'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8Z"/></marker></defs>\n'
        f'<rect class="page" width="{width}" height="{height}" rx="14"/>\n' + "\n".join(parts) + "\n</svg>"
    )


def _column(phase: str, bottom: int) -> str:
    x, y = _COLUMNS[phase], _TOP + _CARD_TOP
    parts = [
        f'<rect class="panel" x="{x - 12}" y="{_TOP}" width="{_WIDTH + 24}" height="{bottom - _TOP}" rx="12"/>',
        f'<text class="phase" x="{x + 2}" y="{_TOP + 31}">{escape(phase)}</text>',
    ]
    for status in PHASES[phase]:
        parts.append(_card(status, x, y))
        y += _height(status)
    return "\n".join(parts)


def _card(status: Status, x: int, y: int) -> str:
    height = _height(status) - _CARD_GAP
    lines = [
        f'<rect class="card" x="{x}" y="{y}" width="{_WIDTH}" height="{height}" rx="8"/>',
        f'<circle class="dot {_ACCENTS.get(status, "")}" cx="{x + 17}" cy="{y + 19}" r="5"/>',
        f'<text class="name" x="{x + 30}" y="{y + 24}">{status.name}</text>',
    ]
    for index, line in enumerate(_lines(status)):
        at = y + _TITLE_HEIGHT + 14 + index * _LINE
        lines.append(f'<text class="from" x="{x + 30}" y="{at}" xml:space="preserve">{escape(line)}</text>')
    return "\n".join(lines)


def _lines(status: Status) -> list[str]:
    lines: list[str] = []
    for arrival in arrivals(status):
        first, *others = wrap(arrival, _LONGEST_LINE)
        lines += [f"← {first}", *(f"    {line}" for line in others)]
    return lines


def _height(status: Status) -> int:
    return _TITLE_HEIGHT + _LINE * len(_lines(status)) + _CARD_BOTTOM + _CARD_GAP


def _arrows(bottom: int) -> list[str]:
    left, middle, right = (_COLUMNS[phase] for phase in (QUEUE, RUNNER, FINAL))
    out, into = _WIDTH + 12, -12
    low = bottom + 46
    return [
        _arrow(f"M{left + out} 190H{middle + into - 4}", "claimed", left + out + 48, 181),
        _arrow(f"M{middle + into} 300H{left + out + 4}", "goes back", left + out + 48, 291),
        _arrow(f"M{middle + out} 190H{right + into - 4}", "ends", middle + out + 48, 181),
        _arrow(
            f"M{left + 165} {bottom}V{low - 12}Q{left + 165} {low} {left + 177} {low}H{right + 153}"
            f"Q{right + 165} {low} {right + 165} {low - 12}V{bottom + 4}",
            "cancelled, not started in time, or too many crashes",
            middle + 165,
            low - 9,
        ),
        _arrow(
            f"M{right + 165} {_TOP}V50Q{right + 165} 38 {right + 153} 38H{left + 177}"
            f"Q{left + 165} 38 {left + 165} 50V{_TOP - 4}",
            "requeued",
            middle + 165,
            29,
        ),
    ]


def _arrow(path: str, label: str, x: int, y: int) -> str:
    return (
        f'<path class="arrow" d="{path}" marker-end="url(#head)"/>'
        f'<text class="label" x="{x}" y="{y}" text-anchor="middle">{label}</text>'
    )
