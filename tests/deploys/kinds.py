"""Every kind of runner, with the options that make it a small one. What is added here is tested everywhere below."""

from __future__ import annotations

ONE_SLOT: dict[str, tuple[str, ...]] = {
    "process": ("--runner", "process", "--processes", "1"),
    "thread": ("--runner", "thread", "--concurrency", "1"),
    "async": ("--runner", "async", "--concurrency", "1"),
    "hybrid": ("--runner", "hybrid", "--processes", "1", "--concurrency", "1"),
}
TWO_SLOTS = {kind: (*options[:-1], "2") for kind, options in ONE_SLOT.items()}
STORES = ("sqlite", "redis", "postgresql")
