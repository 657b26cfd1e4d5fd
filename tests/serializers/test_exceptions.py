"""Exceptions survive with any signature, and nothing an exception does stops it from being kept."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from pynenc import errors
from pynenc.errors import RemoteTraceback, SerializationError, TaskFailed
from pynenc.ports.serializer import Serializer
from pynenc.serializers import packing
from pynenc.serializers.exceptions import decode_exception, encode_exception
from pynenc.serializers.text import JsonSerializer
from pynenc.serializers.types import KnownTypes
from tests.serializers import models


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - that is what is tested
        return caught


@pytest.fixture
def keep_exception(serializer: Serializer, types: KnownTypes) -> Any:
    return lambda error: decode_exception(encode_exception(error, serializer, types), serializer, types)


def _json_error() -> Exception:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    return caught.value


def _unicode_error() -> Exception:
    with pytest.raises(UnicodeDecodeError) as caught:
        b"\xff".decode()
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", 3, (1, 2)),
        KeyError("missing"),
        FileNotFoundError(2, "No such file", "/tmp/x"),
        OSError("just words"),
        errors.TaskMemoryExceeded("too much", invocation_id="x"),
        ModuleNotFoundError("no x", name="x", path="/x.py"),
        AttributeError("no y", name="y"),
        StopIteration(5),
        SyntaxError("bad", ("file.py", 1, 2, "x =", 1, 3)),
        _unicode_error(),
        _json_error(),
        subprocess.CalledProcessError(3, ["ls"], b"out", None),
        ExceptionGroup("several", [ValueError(1), KeyError("k")]),
        models.Demanding(404, hint="look elsewhere"),
        models.Slotted("here"),
        errors.WaitCycle(("a", "b", "a")),
        errors.InvocationDropped("dropped", invocation_id="i"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_comes_back_like_itself(error: Exception, keep_exception: Any) -> None:
    kept = keep_exception(raised(error))

    assert type(kept) is type(error)
    assert str(kept) == str(error)
    assert repr(kept) == repr(error)
    assert {k: repr(v) for k, v in vars(kept).items()} == {k: repr(v) for k, v in vars(error).items()}
    for name in ("filename", "name", "value", "where", "lineno", "start", "path"):
        assert getattr(kept, name, None) == getattr(error, name, None)


def test_notes_are_kept(keep_exception: Any) -> None:
    error = ValueError("x")
    error.add_note("while counting")

    assert keep_exception(error).__notes__ == ["while counting"]


def test_the_remote_traceback_with_its_causes_is_the_cause(keep_exception: Any) -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second") from first
    except ValueError as error:
        kept = keep_exception(error)

    assert isinstance(kept.__cause__, RemoteTraceback)
    assert "KeyError: 'first'" in str(kept.__cause__)
    assert "test_exceptions.py" in str(kept.__cause__)


def test_code_of_the_class_is_not_run(keep_exception: Any) -> None:
    error = models.Untouchable("a")
    models.Untouchable.touched.clear()

    kept = keep_exception(error)

    assert kept.args == ("a",)
    assert models.Untouchable.touched == []


def test_an_unknown_class_becomes_a_task_failed_that_tells_of_it(serializer: Serializer) -> None:
    nobody = KnownTypes()

    kept = decode_exception(encode_exception(models.Demanding(1, hint=""), serializer, nobody), serializer, nobody)

    assert isinstance(kept, TaskFailed)
    assert kept.remote_type == "tests.serializers.models.Demanding"
    assert str(kept) == "tests.serializers.models.Demanding: code 1"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_would_end_the_reader_is_told_instead(error: BaseException, keep_exception: Any) -> None:
    kept = keep_exception(error)

    assert isinstance(kept, TaskFailed)
    assert type(error).__name__ in str(kept)


def test_parts_that_cannot_be_kept_are_shown_instead(keep_exception: Any) -> None:
    error = ValueError("readable", models.Plain())
    error.handle = len  # type: ignore[attr-defined]

    kept = keep_exception(error)

    assert kept.args[0] == "readable"
    assert "models.Plain object" in kept.args[1]
    assert not hasattr(kept, "handle")


@pytest.mark.parametrize(
    "error",
    [
        models.Broken(1),
        ValueError(models.Broken(1)),
        ValueError("lone \ud800"),
        ValueError("x" * 3_000_000),
        ValueError(*["y" * 200_000] * 200),
        models.local_class().__class__("Oddly", (Exception,), {"__module__": "nowhere"})("z"),
    ],
    ids=["no text", "no text inside", "surrogate", "long", "many", "nowhere"],
)
def test_every_exception_can_be_kept_and_is_bounded(
    error: Exception, serializer: Serializer, types: KnownTypes
) -> None:
    data = encode_exception(raised(error), serializer, types)

    assert len(data) < 1_500_000
    assert isinstance(decode_exception(data, serializer, types), Exception)


def test_a_deep_traceback_is_bounded(serializer: Serializer, types: KnownTypes) -> None:
    error: BaseException = ValueError("first")
    for number in range(2_000):
        following = ValueError(f"then {number} {'x' * 100}")
        following.__cause__ = error
        error = following

    data = encode_exception(error, serializer, types)

    assert len(data) < 200_000


def test_exceptions_that_hold_each_other_twice_are_kept_as_text(
    serializer: Serializer, types: KnownTypes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_EXCEPTIONS", 100)
    error: BaseException = ValueError("the first")
    for _ in range(40):
        error = models.Wrapping(error)

    kept = decode_exception(encode_exception(error, serializer, types), serializer, types)

    assert type(kept) is models.Wrapping
    assert "Wrapping" in kept.args[0]


def test_exceptions_are_values_too(serializer: Serializer, types: KnownTypes) -> None:
    error = models.Demanding(404, hint="x")
    error.add_note("noted")

    kept = serializer.decode(serializer.encode({"error": error}), types)["error"]

    assert vars(kept) == vars(error)


@pytest.mark.parametrize("stored", [None, [], {}, {"type": 3, "message": ""}, {"type": "builtins:ValueError"}])
def test_what_is_no_exception_is_refused(stored: Any, types: KnownTypes) -> None:
    with pytest.raises(SerializationError):
        decode_exception(JsonSerializer().encode(stored), JsonSerializer(), types)


@pytest.mark.parametrize(
    "name", ["builtins:eval", "tests.serializers.models:Line", "os:system", "builtins:ValueError.x"]
)
def test_what_is_no_exception_class_is_not_built(name: str, types: KnownTypes) -> None:
    stored = {"type": name, "message": "m", "traceback": "", "args": [[True, "ls"]], "state": {}}

    kept = decode_exception(JsonSerializer().encode(stored), JsonSerializer(), types)

    assert isinstance(kept, TaskFailed)


@pytest.mark.parametrize("start", [-(2**60), -1, 1, 2**60])
def test_a_unicode_error_outside_its_text_is_not_built(start: int, types: KnownTypes) -> None:
    args = [[True, value] for value in ("utf-8", b"x", start, start + 1, "reason")]
    stored = {"type": "builtins:UnicodeDecodeError", "message": "m", "traceback": "", "args": args, "state": {}}

    kept = decode_exception(JsonSerializer().encode(stored), JsonSerializer(), types)

    assert isinstance(kept, TaskFailed)
