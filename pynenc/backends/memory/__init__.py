"""The memory store: within one process, and the executable specification of every other store."""

from __future__ import annotations

from collections.abc import Mapping

from pynenc.backends.memory.backend import MemoryBackend
from pynenc.clock import system_clock_us
from pynenc.errors import ConfigurationError
from pynenc.ports.backend import Backend, ClockUs

__all__ = ["MemoryBackend", "open_backend"]


def open_backend(url: str, *, clock: ClockUs = system_clock_us, options: Mapping[str, str]) -> Backend:
    """Return a new, empty store.

    Raises:
        ConfigurationError: an option was given; this store has none.
    """
    if options:
        raise ConfigurationError(f"the memory store has no option {next(iter(options))!r}")
    return MemoryBackend(clock=clock)
