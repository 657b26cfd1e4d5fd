"""Fields of log records travel from where a call is made to its run and to its children."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

import pytest

from pynenc import Pynenc
from pynenc.logs.context import ContextFilter, current_fields
from pynenc.logs.formatters import JsonFormatter, TextFormatter
from pynenc.middleware import LoggingContext, Middleware, SubmitEvent
from pynenc.testing.engine import Engine


class Kept(logging.Handler):
    """Keeps records as they pass a handler of a runner."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(ContextFilter())

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def write() -> None:
    logging.getLogger("shop").warning("hello")


def test_a_field_is_in_records_of_the_run_and_of_its_children(
    pynenc_app: Pynenc, pynenc_engine: Engine, kept: Kept
) -> None:
    @pynenc_app.task
    def child() -> None:
        write()

    @pynenc_app.task
    def parent() -> None:
        write()
        child().wait()

    pynenc_app.add_middleware(LoggingContext())
    with LoggingContext.bind(request_id="r-17", number=3):
        write()
        parent()
    write()
    pynenc_engine.run_all()

    fields = [(getattr(record, "request_id", None), getattr(record, "number", None)) for record in kept.records]
    assert fields == [("r-17", "3"), (None, None), ("r-17", "3"), ("r-17", "3")]


def test_a_field_is_in_records_of_a_coroutine(pynenc_app: Pynenc, pynenc_engine: Engine, kept: Kept) -> None:
    @pynenc_app.task
    async def work() -> None:
        await asyncio.gather(branch(), branch())

    async def branch() -> None:
        write()

    pynenc_app.add_middleware(LoggingContext())

    async def main() -> None:
        with LoggingContext.bind(request_id="r"):
            await work.acall()

    asyncio.run(main())
    pynenc_engine.run_all()

    assert [vars(record)["request_id"] for record in kept.records] == ["r", "r"]


def test_inner_fields_win_over_outer_ones_for_the_length_of_their_block() -> None:
    with LoggingContext.bind(a=1, b=1):
        with LoggingContext.bind(b=2, c=2):
            inner = dict(current_fields())
        outer = dict(current_fields())

    assert (inner, outer, dict(current_fields())) == ({"a": "1", "b": "2", "c": "2"}, {"a": "1", "b": "1"}, {})


def test_fields_come_from_elsewhere_if_a_program_keeps_them_there(
    pynenc_app: Pynenc, pynenc_engine: Engine, kept: Kept
) -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="blue")

    def source() -> Mapping[str, object]:
        return {"tenant": tenant.get(), "no identifier": 1, "msg": "reserved"}

    @pynenc_app.task
    def work() -> None:
        write()

    pynenc_app.add_middleware(LoggingContext(source))
    work()
    pynenc_engine.run_all()

    (record,) = kept.records
    assert (vars(record)["tenant"], record.msg) == ("blue", "hello")


@pytest.mark.parametrize("name", ["msg", "args", "invocation_id", "message", "a b", "", "x" * 65])
def test_names_that_records_have_or_cannot_have_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a log field cannot be called"):
        LoggingContext.bind(**{name: "v"}).__enter__()


def test_only_so_many_fields_may_be_bound() -> None:
    with (
        LoggingContext.bind(**{f"a{n}": n for n in range(10)}),
        pytest.raises(ValueError, match="at most 16 log fields"),
        LoggingContext.bind(**{f"b{n}": n for n in range(7)}),
    ):
        pass


def test_what_somebody_made_up_neither_forges_lines_nor_replaces_attributes(
    pynenc_app: Pynenc, pynenc_engine: Engine, kept: Kept
) -> None:
    class Liar(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            for key, value in {
                "log.levelname": "ERROR",
                "log.invocation_id": "forged",
                "log.not a name": "v",
                "log.note": "a\n2026-01-01 ERROR forged \x1b[31m",
                "log.long": "x" * 1_000,
                "note": "no field",
            }.items():
                submit.calls[0].carry(key, value)

    @pynenc_app.task
    def work() -> None:
        write()

    pynenc_app.add_middleware(LoggingContext(), Liar())
    invocation = work()
    pynenc_engine.run_all()

    (record,) = kept.records
    assert (record.levelname, vars(record)["invocation_id"]) == ("WARNING", invocation.invocation_id)
    assert vars(record)["note"] == "a\ufffd2026-01-01 ERROR forged \ufffd[31m"
    assert len(vars(record)["long"]) == 256
    assert "\n" not in TextFormatter().format(record)
    assert not hasattr(record, "not a name")


def test_lines_for_people_and_for_machines_show_fields(kept: Kept) -> None:
    with LoggingContext.bind(request_id="r-17"):
        write()

    (record,) = kept.records
    assert TextFormatter().format(record).endswith("shop: hello  request_id=r-17")
    shown = json.loads(JsonFormatter().format(record))
    assert shown["request_id"] == "r-17"
    assert "bound_fields" not in shown


def test_fields_that_do_not_fit_stay_behind_and_the_call_is_made(
    pynenc_app: Pynenc, pynenc_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Middleware):
        def before_submit(self, submit: SubmitEvent) -> None:
            submit.calls[0].carry("big", "x" * 4_060)

    @pynenc_app.task
    def work() -> str:
        return current_fields().get("request_id", "none")

    pynenc_app.add_middleware(Full(), LoggingContext())
    with LoggingContext.bind(request_id="r" * 30):
        first, second = work(), work()

    assert (first.result, second.result) == ("none", "none")
    assert [record.getMessage()[:32] for record in caplog.records] == ["the log field request_id does no"]
