"""What log records carry and how they are written."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pynenc.logs.context import FIELDS, ContextFilter, LogContext, current_log_context, log_context, task_logger
from pynenc.logs.formatters import JsonFormatter, TextFormatter

CONTEXT = LogContext(
    invocation_id="0192f0c1-7a6b-7c5d-8e9f-0a1b2c3d4e5f",
    task_id="shop.mail.send",
    attempt=2,
    runner="r@host:1",
    worker=3,
)


class Kept(logging.Handler):
    """Keeps the records it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def _record(message: str = "hello %s", *args: Any, **attributes: Any) -> logging.LogRecord:
    fields = {"name": "app", "levelname": "INFO", "levelno": logging.INFO, "msg": message, "args": args or ("you",)}
    return logging.makeLogRecord({**fields, "created": 1_700_000_000.25, "msecs": 250.0, **attributes})


def _in_context(record: logging.LogRecord) -> logging.LogRecord:
    with log_context(CONTEXT):
        ContextFilter().filter(record)
    return record


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FIELDS}


# --- context ---


def test_records_of_a_run_carry_it() -> None:
    assert _fields(_in_context(_record())) == CONTEXT.fields()


def test_records_outside_of_runs_have_empty_fields() -> None:
    record = _record()

    assert ContextFilter().filter(record)

    assert set(_fields(record).values()) == {None}


def test_a_record_keeps_the_context_it_was_made_in() -> None:
    record = _in_context(_record())

    ContextFilter().filter(record)

    assert record.__dict__["invocation_id"] == CONTEXT.invocation_id


def test_the_context_ends_with_its_block_also_after_an_error() -> None:
    with pytest.raises(KeyError), log_context(CONTEXT):
        raise KeyError

    assert current_log_context() is None


def test_coroutines_that_run_at_once_do_not_mix_their_contexts() -> None:
    async def body(context: LogContext) -> LogContext | None:
        with log_context(context):
            await asyncio.sleep(0)
            return current_log_context()

    other = LogContext(invocation_id="x", task_id="t", attempt=1, runner="r")

    async def both() -> tuple[LogContext | None, ...]:
        return tuple(await asyncio.gather(body(CONTEXT), body(other)))

    assert asyncio.run(both()) == (CONTEXT, other)


def test_a_copied_context_goes_with_work_handed_to_another_thread() -> None:
    with log_context(CONTEXT):
        copied = contextvars.copy_context()

    assert copied.run(current_log_context) == CONTEXT


def test_the_logger_of_a_task_names_task_and_run_whatever_the_handler() -> None:
    handler = Kept()
    logger = task_logger("shop.mail.send")
    logger.logger.addHandler(handler)
    logger.logger.setLevel(logging.INFO)
    try:
        logger.info("outside")
        with log_context(CONTEXT):
            logger.info("inside", extra={"order": 7})
    finally:
        logger.logger.removeHandler(handler)

    outside, inside = handler.records
    assert logger.logger.name == "pynenc.task.shop.mail.send"
    assert outside.__dict__["task_id"] == "shop.mail.send"
    assert _fields(inside) == CONTEXT.fields()
    assert inside.__dict__["order"] == 7


# --- text ---


def test_a_line_for_people_has_an_aligned_level_and_a_short_context() -> None:
    lines = [TextFormatter().format(_in_context(_record(levelname=name))) for name in ("INFO", "CRITICAL")]

    first, second = lines
    assert first.endswith(" INFO     app: hello you  [send …0a1b2c3d4e5f attempt 2 on r@host:1 worker 3]")
    assert first.index("app:") == second.index("app:")


def test_a_full_context_has_whole_ids() -> None:
    line = TextFormatter(compact=False).format(_in_context(_record()))

    assert f"[shop.mail.send {CONTEXT.invocation_id} attempt 2" in line


def test_a_line_outside_of_runs_has_no_context() -> None:
    assert TextFormatter().format(_record()).endswith("app: hello you")


def test_colours_are_only_there_when_wanted() -> None:
    plain, coloured = (TextFormatter(colors=colors).format(_record()) for colors in (False, True))

    assert "\x1b" not in plain
    assert "\x1b[32mINFO    \x1b[0m" in coloured


def test_an_exception_follows_the_line() -> None:
    text = TextFormatter().format(_record(exc_info=_error()))

    assert text.splitlines()[1] == "Traceback (most recent call last):"
    assert text.endswith("ValueError: boom")


# --- JSON ---


def test_a_json_record_says_when_where_and_what() -> None:
    found = json.loads(JsonFormatter().format(_in_context(_record())))

    assert found == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "app",
        "message": "hello you",
        **CONTEXT.fields(),
    }


@pytest.mark.parametrize("message", ["two\nlines", "\ud800", "\x00 \u2028", '"quoted"'])
def test_any_message_stays_one_line_of_json(message: str) -> None:
    line = JsonFormatter().format(_record("%s", message))

    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == message


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


def _recursive() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (7, 7),
        ({"a": [1, None]}, {"a": [1, None]}),
        (float("nan"), "nan"),
        ({"a": float("inf")}, "{'a': inf}"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (b"x", "b'x'"),
        (Broken(), "<Broken without repr>"),
        (_recursive(), "[[...]]"),
    ],
)
def test_extras_of_any_kind_are_kept_as_json(value: Any, kept: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(JsonFormatter().format(_record(extra_value=value)), parse_constant=refuse)

    assert found["extra_value"] == kept


def test_a_json_record_has_exception_and_stack() -> None:
    found = json.loads(JsonFormatter().format(_record(exc_info=_error(), stack_info="Stack: here")))

    assert found["exception"].endswith("ValueError: boom")
    assert found["stack"] == "Stack: here"


def _error() -> Any:
    try:
        raise ValueError("boom")
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize("formatter", [TextFormatter, JsonFormatter])
def test_formatting_twice_gives_the_same(formatter: Callable[[], logging.Formatter]) -> None:
    record = _in_context(_record(exc_info=_error()))

    assert formatter().format(record) == formatter().format(record)
