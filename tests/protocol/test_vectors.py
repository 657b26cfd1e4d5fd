"""Stored and sent bytes never change: protocol/vectors has them, and this release writes and reads the same."""

from __future__ import annotations

import json

import pytest

from pynenc import errors
from pynenc.errors import ProtocolError
from pynenc.model.ids import InvocationId, child_invocation_id, id_text, parse_id
from pynenc.model.policies import decode_policy, retry_delay_us
from pynenc.serializers.exceptions import decode_exception
from pynenc.serializers.text import JsonSerializer, MsgpackSerializer
from pynenc.serializers.types import KnownTypes
from pynenc.serializers.unpacking import _KINDS
from pynenc.wire import records
from pynenc.wire.carrier import Carrier, decode_carrier
from pynenc.wire.envelope import open_envelope, seal, seal_reference
from pynenc.wire.frames import BODIES, FrameDecoder, FrameType, encode_frame
from pynenc.wire.records import encode_record
from tests.protocol import cases
from tests.serializers import models


def vectors(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", sorted(cases.read(name)))


@pytest.fixture(scope="module")
def types() -> KnownTypes:
    known = KnownTypes()
    known.learn_module(models.__name__)
    return known


@pytest.mark.parametrize("name", sorted(cases.FILES))
def test_every_case_has_a_vector_and_every_vector_a_case(name: str) -> None:
    assert set(cases.read(name)) == set(cases.FILES[name]())


def test_no_file_of_vectors_lacks_its_cases() -> None:
    assert {path.name for path in cases.FOLDER.iterdir()} == set(cases.FILES)


def test_every_kind_of_value_has_a_vector() -> None:
    shown = {
        tag[0]
        for vector in cases.read("values.json").values()
        if isinstance(tree := json.loads(vector["json"]), dict) and (tag := tree.get("$"))
    }

    assert shown == set(_KINDS)


def test_every_frame_and_every_record_has_a_vector() -> None:
    decoders = {name for name, value in vars(records).items() if isinstance(value, records.RecordDecoder)}

    assert {FrameType(vector["type"]) for vector in cases.read("frames.json").values()} == set(BODIES)
    assert set(cases.read("records.json")) == decoders


@vectors("values.json")
def test_a_value_is_written_and_read_as_ever(name: str, types: KnownTypes) -> None:
    vector = cases.read("values.json")[name]
    text, packed = vector["json"].encode(), bytes.fromhex(vector["msgpack"])

    assert JsonSerializer().encode(cases.VALUES[name]) == text
    assert MsgpackSerializer().encode(cases.VALUES[name]) == packed
    for value in (JsonSerializer().decode(text, types), MsgpackSerializer().decode(packed, types)):
        assert repr(value) == repr(cases.VALUES[name]) or value == cases.VALUES[name]
        assert type(value) is type(cases.VALUES[name])


@vectors("errors.json")
def test_an_error_is_written_and_read_as_ever(name: str, types: KnownTypes) -> None:
    vector = cases.read("errors.json")[name]
    written = json.loads(cases.error_vectors()[name]["json"])

    kept = decode_exception(vector["json"].encode(), JsonSerializer(), types)

    # How tracebacks are laid out is up to each Python.
    assert written | {"traceback": ""} == json.loads(vector["json"]) | {"traceback": ""}
    assert type(kept) is type(cases.ERRORS[name])
    assert repr(kept) == repr(cases.ERRORS[name])


@vectors("envelope.json")
def test_an_envelope_is_written_and_read_as_ever(name: str) -> None:
    vector = cases.read("envelope.json")[name]
    sealed = bytes.fromhex(vector["bytes"])
    if "refused" in vector:
        with pytest.raises(ProtocolError) as caught:
            open_envelope(sealed)
        assert caught.value.code == vector["refused"]
        return

    opened = open_envelope(sealed)

    assert opened.codec == vector["codec"]
    if "reference" in vector:
        assert (opened.data, opened.reference, opened.size) == (
            None,
            bytes.fromhex(vector["reference"]),
            vector["size"],
        )
        assert seal_reference(opened.codec, opened.reference or b"", opened.size) == sealed
    else:
        assert (opened.data, opened.reference) == (bytes.fromhex(vector["data"]), None)
        assert seal(opened.codec, opened.data or b"") == sealed


@vectors("carriers.json")
def test_a_carrier_is_written_and_read_as_ever(name: str) -> None:
    vector = cases.read("carriers.json")[name]
    data = bytes.fromhex(vector["bytes"])
    if "refused" in vector:
        with pytest.raises(ProtocolError) as caught:
            decode_carrier(data)
        assert caught.value.code == vector["refused"]
        return
    carrier = Carrier()
    for key, value in vector["entries"].items():
        carrier.put(key, value)

    assert carrier.encode() == data
    assert decode_carrier(data) == vector["entries"]


@vectors("frames.json")
def test_a_frame_is_written_and_read_as_ever(name: str) -> None:
    vector = cases.read("frames.json")[name]
    kind, body = cases.FRAMES[name]

    frames = FrameDecoder().feed(bytes.fromhex(vector["bytes"]))

    assert encode_frame(kind, body, vector["seq"]).hex() == vector["bytes"]
    assert [(frame.type, frame.seq, frame.body) for frame in frames] == [
        (FrameType(vector["type"]), vector["seq"], body)
    ]


@vectors("records.json")
def test_a_record_is_written_and_read_as_ever(name: str) -> None:
    stored = bytes.fromhex(cases.read("records.json")[name]["msgpack"])

    assert encode_record(cases.RECORDS[name]) == stored
    assert getattr(records, name).decode(stored) == cases.RECORDS[name]


@vectors("ids.json")
def test_ids_and_delays_follow_from_the_same_facts_as_ever(name: str) -> None:
    vector = cases.read("ids.json")[name]

    if "text" in vector:
        assert id_text(parse_id(vector["id"])) == vector["text"]
    elif "policy" in vector:
        policy = decode_policy(bytes.fromhex(vector["policy"]))
        assert retry_delay_us(policy, parse_id(vector["id"]), vector["failures"]) == vector["delay_us"]
    else:
        parent, key = InvocationId(bytes.fromhex(vector["parent"])), bytes.fromhex(vector["call_key"])
        child = child_invocation_id(parent, vector["attempt"], key, vector["occurrence"])
        assert child.hex() == vector["id"]


def test_refusals_are_named_by_codes_of_errors() -> None:
    codes = {value.code for value in vars(errors).values() if isinstance(value, type) and hasattr(value, "code")}

    assert {vector.get("refused", "error") for vector in cases.read("envelope.json").values()} <= codes
