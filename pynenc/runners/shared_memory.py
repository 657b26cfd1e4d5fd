"""Memory that a worker process inherits and its runner keeps, however the worker dies."""

from __future__ import annotations

import os


def new_memory(name: str, size: int) -> int:
    """Return the descriptor of empty memory of `size` bytes, for both sides to map or write.

    Args:
        name: for people who look at a process.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name)
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
