"""Names under which programs import what this part of the package has."""

from __future__ import annotations

import pytest

import pynenc
from pynenc import errors, exceptions
from pynenc.builder import PynencBuilder
from pynenc.conf.config_task import ConcurrencyControlType
from pynenc.invocation.status import InvocationStatus
from pynenc.model.status import InvocationStatus as Original


@pytest.mark.parametrize("name", exceptions.__all__)
def test_published_errors_are_ours(name: str) -> None:
    assert getattr(exceptions, name) is getattr(errors, name)


def test_published_names_are_found_on_the_package() -> None:
    assert pynenc.PynencBuilder is PynencBuilder
    assert pynenc.ConcurrencyControlType is ConcurrencyControlType
    assert InvocationStatus is Original


def test_concurrency_types_have_lower_case_values() -> None:
    assert [str(member) for member in ConcurrencyControlType] == ["disabled", "task", "arguments", "keys"]
