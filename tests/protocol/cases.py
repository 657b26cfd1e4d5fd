"""The cases behind protocol/vectors. `python -m tests.protocol.cases` adds those a file lacks, and changes none.

What is in the files is the contract with other languages and with bytes that stores already hold.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pynenc.model.ids import Epoch, InvocationId, SessionId, child_invocation_id, id_text
from pynenc.model.policies import RunPolicy, encode_policy, retry_delay_us
from pynenc.model.records import (
    CancelReply,
    CancelVerdict,
    Claim,
    CompletionReply,
    ExchangeReply,
    Failure,
    Fence,
    Outcome,
    Resumed,
    Submission,
    SubmitReply,
    SubmitVerdict,
    Success,
    Suspend,
    Verdict,
)
from pynenc.model.status import InvocationStatus
from pynenc.model.waits import WaitReply
from pynenc.serializers.exceptions import encode_exception
from pynenc.serializers.text import JsonSerializer, MsgpackSerializer
from pynenc.serializers.types import KnownTypes
from pynenc.wire import frames
from pynenc.wire.carrier import Carrier
from pynenc.wire.envelope import seal, seal_reference
from pynenc.wire.frames import FrameType, encode_frame
from pynenc.wire.records import encode_record
from tests.serializers import models

FOLDER = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
ID = InvocationId(bytes(range(16)))
OTHER = InvocationId(bytes(range(16, 32)))
EPOCH = Epoch(3)
Vector = dict[str, Any]

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "int": -5,
    "int of 64 bits": 2**63 - 1,
    "larger int": 2**63,
    "float": 1.5,
    "negative zero": -0.0,
    "infinity": float("inf"),
    "text": "a\u20ac",
    "lone surrogate": "\ud800",
    "list": [1, [2]],
    "object": {"a": 1},
    "object with the tag as a key": {"$": 1},
    "object with other keys": {1: "a", (1, 2): "b"},
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"a"),
    "tuple": (1, "a"),
    "set": {"b", "a"},
    "frozenset": frozenset({1}),
    "datetime": datetime(2024, 2, 29, 12, 30, 0, 1),
    "datetime UTC": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
    "datetime with an offset": datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=-3))),
    "datetime in a zone": datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1),
    "date": date(2024, 2, 29),
    "time": time(23, 59),
    "timedelta": timedelta(days=-1, seconds=1, microseconds=2),
    "uuid": UUID(int=1),
    "decimal": Decimal("1.10"),
    "fraction": Fraction(1, 3),
    "complex": complex(1, -2),
    "range": range(1, 10, 2),
    "slice": slice(None, 5),
    "path": PurePosixPath("/a/b"),
    "path of this system": Path("a"),
    "windows path": PureWindowsPath("c:/a"),
    "deque": deque([1], maxlen=2),
    "deque without end": deque([1]),
    "ordered dict": OrderedDict(b=1, a=2),
    "counter": Counter(a=2),
    "defaultdict": defaultdict(list, a=[1]),
    "defaultdict without a factory": defaultdict(None, a=1),
    "time in a zone": time(1, 2, tzinfo=timezone(timedelta(hours=1), "Here")),
    "exception with attributes": models.Demanding(404, hint="x"),
    "enum": models.Colour.RED,
    "flag": models.Rights.READ | models.Rights.WRITE,
    "named tuple": models.Point(1, 2.5),
    "dataclass": models.Line(1),
    "msgspec struct": models.Reading(1.5),
    "pydantic model": models.Person(fullName="Ada"),
    "json serializable": models.Money(5),
    "exception": ValueError("bad", 1),
}


def value_vectors() -> dict[str, Vector]:
    return {
        name: {"json": JsonSerializer().encode(value).decode(), "msgpack": MsgpackSerializer().encode(value).hex()}
        for name, value in VALUES.items()
    }


def envelope_vectors() -> dict[str, Vector]:
    return {
        "json": {"codec": "json", "data": b"[1]".hex(), "bytes": seal("json", b"[1]").hex()},
        "empty": {"codec": "msgpack", "data": "", "bytes": seal("msgpack", b"").hex()},
        "longest codec": {"codec": "c" * 32, "data": "00", "bytes": seal("c" * 32, b"\0").hex()},
        "reference": {
            "codec": "json",
            "reference": bytes(range(32)).hex(),
            "size": 2**40,
            "bytes": seal_reference("json", bytes(range(32)), 2**40).hex(),
        },
        "reference to a place": {
            "codec": "json",
            "reference": bytes(range(34)).hex(),
            "size": 2**40,
            "bytes": seal_reference("json", bytes(range(34)), 2**40).hex(),
        },
        "later version": {"bytes": "0200046a736f6e", "refused": "unknown_version"},
        "nothing": {"bytes": "", "refused": "malformed_message"},
        "unknown flag": {"bytes": "0102046a736f6e", "refused": "malformed_message"},
        "no codec": {"bytes": "010000", "refused": "malformed_message"},
        "cut codec": {"bytes": "0100046a73", "refused": "malformed_message"},
        "codec not ASCII": {"bytes": "010001ff", "refused": "malformed_message"},
        "short reference": {"bytes": "0101046a736f6e00", "refused": "malformed_message"},
        "place too long": {"bytes": "0101046a736f6e" + "00" * 57, "refused": "malformed_message"},
    }


CARRIERS: dict[str, dict[str, str]] = {
    "empty": {},
    "trace context": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"},
    "log fields": {"log.request_id": "r-17", "log.tenant": "\u00e4"},
    "longest key": {"k" * 128: ""},
}
NO_CARRIERS = {
    "not a map": "91a161",
    "a number as value": "81a16101",
    "a number as key": "8101a161",
    "empty key": "81a0a0",
    "key too long": "81d981" + "6b" * 129 + "a0",
    "cut": "81a161",
    "too many bytes": "81a161da1000" + "62" * 4096,
    "too many entries": "de0041" + "".join(f"a2{bytes(f'{n:02}', 'ascii').hex()}a0" for n in range(65)),
}


def carrier_vectors() -> dict[str, Vector]:
    refused = {name: {"bytes": data, "refused": "malformed_message"} for name, data in NO_CARRIERS.items()}
    kept: dict[str, Vector] = {}
    for name, entries in CARRIERS.items():
        carrier = Carrier()
        for key, value in entries.items():
            carrier.put(key, value)
        kept[name] = {"entries": entries, "bytes": carrier.encode().hex()}
    return kept | refused


ERRORS: dict[str, BaseException] = {
    "built-in": ValueError("bad", 1),
    "own arguments and attributes": models.Demanding(404, hint="x"),
    "operating system": FileNotFoundError(2, "No such file", "a"),
    "group": ExceptionGroup("several", [ValueError(1)]),
}


def error_vectors() -> dict[str, Vector]:
    types = KnownTypes()
    types.learn_module(models.__name__)
    return {name: {"json": encode_exception(error, JsonSerializer(), types).decode()} for name, error in ERRORS.items()}


OUTCOME = Outcome(
    invocation_id=OTHER,
    status=InvocationStatus.SUCCESS,
    payload=b"p",
    reason="",
    attempt=1,
    crashes=0,
    epoch=EPOCH,
    session=SessionId(7),
    worker=42,
    registered_at_us=1,
    claimed_at_us=2,
    started_at_us=None,
    ended_at_us=4,
    expires_at_us=None,
)
CLAIM = Claim(
    invocation_id=ID,
    session=SessionId(7),
    epoch=EPOCH,
    attempt=1,
    crashes=0,
    task_id="shop.pay",
    arguments=b"a",
    policy=b"",
    meta=b"",
    queue="default",
    rank=2**44,
    parent_id=OTHER,
)

RECORDS: dict[str, Any] = {
    "submissions": [
        Submission(invocation_id=ID, task_id="shop.pay", arguments=b"a"),
        Submission(
            invocation_id=ID,
            task_id="t",
            arguments=b"",
            delay_us=5,
            after=(OTHER,),
            parent=Fence(SessionId(7), OTHER, EPOCH),
        ),
    ],
    "submit_replies": [SubmitReply(SubmitVerdict.DEDUPED, OTHER)],
    "cancel_request": ([ID], True, "why"),
    "cancel_replies": [CancelReply(ID, CancelVerdict.REQUESTED)],
    "claim": CLAIM,
    "completion": Failure(invocation_id=ID, epoch=EPOCH, error=b"e", ran_us=9),
    "outcome": OUTCOME,
    "exchange_reply": ExchangeReply(
        verdicts=(CompletionReply(Verdict.ACCEPTED, (OUTCOME,)),),
        claims=(CLAIM,),
        resumed=(Resumed(invocation_id=ID, epoch=EPOCH, timed_out=False, outcomes=(OUTCOME,)),),
        next_due_us=5,
        more=True,
    ),
    "wait_reply": WaitReply(outcomes=(OUTCOME,), timed_out=True),
}


def record_vectors() -> dict[str, Vector]:
    return {name: {"msgpack": encode_record(record).hex()} for name, record in RECORDS.items()}


SLOTS = ((ID, EPOCH),)
FRAMES: dict[str, tuple[FrameType, Any]] = {
    "HELLO": (FrameType.HELLO, frames.Hello((1, 0), 42, "3.12.1", ("x",))),
    "WELCOME": (FrameType.WELCOME, frames.Welcome((1, 0), "runner", b"app", {"k": 1})),
    "CREDIT": (FrameType.CREDIT, frames.Credit(4)),
    "RUN": (FrameType.RUN, frames.Run((CLAIM,))),
    "STARTED": (FrameType.STARTED, frames.StartedFrame(((ID, EPOCH, 4_711),))),
    "DONE": (
        FrameType.DONE,
        frames.Done(
            (
                Success(invocation_id=ID, epoch=EPOCH, result=b"r", ran_us=5),
                Suspend(invocation_id=ID, epoch=EPOCH, waits=(OTHER,)),
            )
        ),
    ),
    "SUSPEND": (FrameType.SUSPEND, frames.SuspendFrame(ID, EPOCH, (OTHER,), 1, 5_000_000)),
    "RESUME": (FrameType.RESUME, frames.Resume(ID, EPOCH, (OUTCOME,))),
    "OBSERVE": (FrameType.OBSERVE, frames.Resume(ID, EPOCH, (), unknown=(OTHER,))),
    "CALL": (FrameType.CALL, frames.Call("submit", b"b")),
    "REPLY": (FrameType.REPLY, frames.Reply(b"b")),
    "REPLY error": (FrameType.REPLY, frames.Reply(b"", "StoreError", "no")),
    "CANCEL": (FrameType.CANCEL, frames.Cancel(ID, EPOCH, "timeout", 500)),
    "BEAT": (FrameType.BEAT, frames.Beat(123)),
    "LOG": (FrameType.LOG, frames.Log("stdout", ("line",), 2, ID)),
    "PROGRESS": (FrameType.PROGRESS, frames.ProgressFrame(ID, EPOCH, b"p")),
    "ABANDON": (FrameType.ABANDON, frames.Abandon(SLOTS, "superseded")),
    "RETURNED": (FrameType.RETURNED, frames.Abandon(SLOTS)),
    "DRAIN": (FrameType.DRAIN, frames.Drain()),
    "RECYCLE": (FrameType.RECYCLE, frames.Bye("memory")),
    "BYE": (FrameType.BYE, frames.Bye("done")),
}


def frame_vectors() -> dict[str, Vector]:
    return {
        name: {"type": int(kind), "seq": 258, "bytes": encode_frame(kind, body, 258).hex()}
        for name, (kind, body) in FRAMES.items()
    }


CHILDREN = {"first": (ID, 1, b"key", 0), "third": (ID, 2, b"", 2)}
DELAYS = {
    "first": (RunPolicy(max_retries=3, retry_delay_us=1_000_000), ID, 1),
    "capped": (RunPolicy(retry_delay_us=1_000_000, retry_max_delay_us=5_000_000), ID, 60),
    "no jitter": (RunPolicy(retry_delay_us=1_000, retry_jitter=False), ID, 3),
}


def id_vectors() -> dict[str, Vector]:
    text: dict[str, Vector] = {"text": {"id": ID.hex(), "text": id_text(ID)}}
    for name, (parent, attempt, key, occurrence) in CHILDREN.items():
        text[f"child {name}"] = {
            "parent": parent.hex(),
            "attempt": attempt,
            "call_key": key.hex(),
            "occurrence": occurrence,
            "id": child_invocation_id(parent, attempt, key, occurrence).hex(),
        }
    for name, (policy, invocation_id, failures) in DELAYS.items():
        text[f"retry delay {name}"] = {
            "policy": encode_policy(policy).hex(),
            "id": invocation_id.hex(),
            "failures": failures,
            "delay_us": retry_delay_us(policy, invocation_id, failures),
        }
    return text


FILES: dict[str, Callable[[], dict[str, Vector]]] = {
    "values.json": value_vectors,
    "envelope.json": envelope_vectors,
    "carriers.json": carrier_vectors,
    "errors.json": error_vectors,
    "records.json": record_vectors,
    "frames.json": frame_vectors,
    "ids.json": id_vectors,
}


def read(name: str) -> dict[str, Vector]:
    """Return the vectors of a file by name; {} if there is none."""
    file = FOLDER / name
    vectors: dict[str, Vector] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return vectors


def add_missing() -> None:
    """Add vectors for cases that have none."""
    for name, made in FILES.items():
        vectors = made() | read(name)
        lines = [f"  {json.dumps(key)}: {json.dumps(vector)}" for key, vector in vectors.items()]
        (FOLDER / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    add_missing()
