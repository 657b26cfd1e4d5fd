"""The little that drawing needs."""

from __future__ import annotations

import math
from html import escape


def element(name: str, content: str | None = None, **attributes: object) -> str:
    """Return one element; `_` in attribute names stands for `-`, a trailing one is dropped, None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}/>" if content is None else f"<{name}{given}>{content}</{name}>"


def text(content: str, x: float, y: float, **attributes: object) -> str:
    return element("text", escape(content), x=x, y=y, **attributes)


def title(content: str) -> str:
    """Return what is shown when the pointer rests on the element around it."""
    return element("title", escape(content))


def drawing(width: float, height: float, parts: list[str], *, label: str, class_: str = "") -> str:
    return element(
        "svg",
        "\n".join(parts),
        viewBox=f"0 0 {_text(width)} {_text(height)}",
        role="img",
        aria_label=label,
        class_=class_ or None,
    )


def ticks(length: float, wanted: int = 8) -> list[float]:
    """Return round values from 0 to `length`, about `wanted` of them."""
    raw = max(length, 1e-9) / wanted
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = min((m * magnitude for m in (1, 2, 5, 10)), key=lambda candidate: abs(candidate - raw))
    return [n * step for n in range(int(length / step + 1e-9) + 1)]


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
