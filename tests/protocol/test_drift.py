"""The data in protocol/ and the code say the same: whoever changes one has to change the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pynenc import errors
from pynenc.model.lifecycle_data import MEANINGS, TRANSITIONS
from pynenc.model.status import InvocationStatus, Reason, State, ready_status
from pynenc.serializers.text import JsonSerializer, MsgpackSerializer
from pynenc.wire import frames
from pynenc.wire.frames import BODIES, FrameType

ROOT = Path(__file__).resolve().parents[2]


def data(name: str) -> Any:
    return json.loads((ROOT / "protocol" / name).read_text(encoding="utf-8"))


def test_nothing_generated_is_stale() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/generate_constants", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_states_and_reasons_have_their_numbers() -> None:
    statuses = data("statuses.json")

    assert {each["name"]: each["number"] for each in statuses["states"]} == {s.name: s.value for s in State}
    assert {each["name"]: each["number"] for each in statuses["reasons"]} == {r.name: r.value for r in Reason}


def test_reasons_lead_to_their_statuses() -> None:
    assert {each["name"]: each["status"] for each in data("statuses.json")["reasons"]} == {
        reason.name: ready_status(reason).value for reason in Reason
    }


def test_statuses_are_final_and_available_as_the_data_says() -> None:
    assert {
        each["name"]: (each["value"], each.get("final", False), each.get("available", False))
        for each in data("statuses.json")["statuses"]
    } == {s.name: (s.value, s.is_final(), s.is_available_for_run()) for s in InvocationStatus}
    assert set(MEANINGS) == set(InvocationStatus)


def test_every_status_is_reached_and_left() -> None:
    reached = {after for _, after, _ in TRANSITIONS}
    left = {before for before, _, _ in TRANSITIONS}

    assert reached == set(InvocationStatus)
    assert left == reached | {None}


def test_codes_of_errors_tell_them_apart() -> None:
    listed = {each["name"]: each for each in data("errors.json")["errors"]}
    classes = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.PynencError)
    ]

    assert {cls.__name__ for cls in classes} <= set(listed)
    codes = [cls.code for cls in set(classes) if cls is not errors.Retry]
    assert len(codes) == len(set(codes))


def test_frames_have_their_numbers_and_bodies() -> None:
    listed = data("frames.json")["frames"]

    assert {each["name"]: each["number"] for each in listed} == {kind.name: kind.value for kind in FrameType}
    assert {each["name"]: each["body"] for each in listed if each["body"]} == {
        FrameType(kind).name: body.__name__ for kind, body in BODIES.items()
    }


def test_only_frames_without_a_body_may_be_passed_over() -> None:
    for each in data("frames.json")["frames"]:
        assert (each["number"] >= data("frames.json")["optional_bit"]) is (each["body"] is None)


@pytest.mark.parametrize("name", sorted(body.__name__ for body in set(BODIES.values())))
def test_bodies_are_described_as_arrays(name: str) -> None:
    described = next(
        each
        for each in data("operations.json")["records"]
        if each["name"] == name and each["module"] == frames.__name__
    )

    assert described["array"] is True


def test_codecs_are_the_ones_the_envelope_lists() -> None:
    assert {JsonSerializer.codec, MsgpackSerializer.codec} < set(data("envelope.json")["codecs"])
