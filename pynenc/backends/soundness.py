"""Whether the records of a store contradict each other, for `pynenc doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc.errors import ConfigurationError, StoreError
from pynenc.io import Op
from pynenc.ports.backend import Finding
from pynenc.ports.orchestrator import Orchestrator


def diagnose_records(orchestrator: Orchestrator, known: Sequence[Finding]) -> Op[list[Finding]]:
    """Return what is wrong with the records; nothing if it is known that the server cannot be asked."""
    if any(each.level == "error" and each.subject == "server" for each in known):
        return []
    try:
        broken = yield from orchestrator.verify()
    except (StoreError, ConfigurationError) as error:
        return [Finding(level="error", subject="store", detail=str(error))]
    return [Finding(level="error", subject=each.invariant, detail=each.detail) for each in broken]
