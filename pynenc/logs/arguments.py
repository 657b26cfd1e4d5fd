"""Arguments of calls as logs show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynenc.conf.config_pynenc import ArgumentPrintMode


def render_arguments(arguments: Mapping[str, Any], mode: ArgumentPrintMode, length: int = 32) -> str:
    """Return `name=value, …` as far as `mode` allows; "" for hidden ones.

    Args:
        arguments: by name of their parameters.
        length: characters of a truncated value; 0 for all.
    """
    if mode is ArgumentPrintMode.HIDDEN:
        return ""
    if mode is ArgumentPrintMode.KEYS:
        return ", ".join(arguments)
    limit = length if mode is ArgumentPrintMode.TRUNCATED else 0
    return ", ".join(f"{name}={_shown(value, limit)}" for name, value in arguments.items())


def _shown(value: Any, limit: int) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - user code: a log must not fail for its sake
        return f"<{type(value).__name__} without repr>"
    return f"{text[:limit]}…" if limit and len(text) > limit else text
