"""What surrounds a store passes every operation on, with all that it was given."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.passing import PassingOrchestrator

OPERATIONS = sorted(Orchestrator.__abstractmethods__)


class Recorder:
    """Notes what it is asked, and returns the note."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: (name, args, kwargs)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_arrives_with_all_its_arguments(name: str) -> None:
    inner: Any = Recorder()
    parameters = list(inspect.signature(getattr(Orchestrator, name)).parameters.values())[1:]
    by_place = [object() for each in parameters if each.kind is not each.KEYWORD_ONLY]
    by_name = {each.name: object() for each in parameters if each.kind is each.KEYWORD_ONLY}

    arrived = getattr(PassingOrchestrator(inner), name)(*by_place, **by_name)

    assert arrived == (name, tuple(by_place), by_name)
