"""The constants of the Redis scripts say what the code says."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import pytest

from pynenc.backends.memory.state import FIRST_SEQUENCE
from pynenc.backends.protocol_files import read_text
from pynenc.model.ranks import BAND_UNIT, MOST_INHERITING
from pynenc.model.records import (
    NEWEST_FIRST,
    UNNAMED_MARGIN_US,
    AfterPolicy,
    CancelVerdict,
    ClaimIdVerdict,
    DedupePhase,
    SubmitVerdict,
    Verdict,
)
from pynenc.model.status import InvocationStatus, Reason, State

CONSTANTS: dict[str, Any] = json.loads(read_text("redis/constants.json"))


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [
        ("", State),
        ("REASON_", Reason),
        ("KEY_", DedupePhase),
        ("AFTER_", AfterPolicy),
        ("VERDICT_", Verdict),
        ("SUBMIT_", SubmitVerdict),
        ("CLAIM_", ClaimIdVerdict),
        ("CANCEL_", CancelVerdict),
    ],
)
def test_numbers_are_those_of_the_code(prefix: str, kind: type[IntEnum]) -> None:
    for member in kind:
        if member is not State.FINAL:
            assert CONSTANTS[prefix + member.name] == member.value


def test_texts_and_limits_are_those_of_the_code() -> None:
    for name in ("SUCCESS", "FAILED", "CANCELLED", "EXPIRED"):
        assert CONSTANTS["STATUS_" + name] == InvocationStatus[name].value
    assert CONSTANTS["STATUS_DROPPED"] == InvocationStatus.CONCURRENCY_CONTROLLED_FINAL.value
    assert (CONSTANTS["BAND_UNIT"], CONSTANTS["FIRST_SEQUENCE"]) == (BAND_UNIT, FIRST_SEQUENCE)
    assert CONSTANTS["MOST_INHERITING"] == MOST_INHERITING
    assert (CONSTANTS["UNNAMED_MARGIN"], CONSTANTS["NEWEST_FIRST"]) == (UNNAMED_MARGIN_US, NEWEST_FIRST)


@pytest.mark.parametrize(("prefix", "size"), [("C_", "C_SIZE"), ("O_", "O_SIZE")])
def test_places_of_a_record_are_distinct_and_complete(prefix: str, size: str) -> None:
    beside = ("C_SIZE", "C_REQUIRED", "C_GATED", "O_SIZE")
    places = sorted(value for name, value in CONSTANTS.items() if name.startswith(prefix) and name not in beside)

    assert places == list(range(1, CONSTANTS[size] + 1))
