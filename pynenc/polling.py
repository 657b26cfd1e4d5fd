"""Waiting for descriptors."""

from __future__ import annotations

import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], timeout_s: float) -> frozenset[int]:
    """Return which of `descriptors` can be read, or have ended, within `timeout_s`."""
    # Rounded up: a timer must not find itself a fraction of a millisecond early, again and again.
    timeout_ms = int(timeout_s * 1000) + 1 if timeout_s > 0 else 0
    if not hasattr(select, "poll"):
        return frozenset(select.select(list(descriptors), [], [], timeout_ms / 1000)[0])
    # Not `select`: descriptors of a big process exceed what it can name.
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return frozenset(descriptor for descriptor, _ in poller.poll(timeout_ms))
