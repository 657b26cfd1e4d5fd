"""Which invocation a log record belongs to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct


class LogContext(Struct, frozen=True, kw_only=True):
    """The run that the current thread or coroutine executes."""

    invocation_id: str
    task_id: str
    attempt: int
    runner: str
    worker: int | None = None

    def fields(self) -> dict[str, Any]:
        """Return what log records get as attributes."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = ("invocation_id", "task_id", "attempt", "runner", "worker")
"""Attributes that every record has behind a `ContextFilter`; None outside of runs."""

RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "bound_fields", *FIELDS}
"""Attributes of records that are no fields of users."""

_NONE: Mapping[str, str] = MappingProxyType({})


class LogSource(Protocol):
    """What knows the log context of a run once somebody asks: most bodies log nothing."""

    @property
    def log_context(self) -> LogContext: ...


_current: ContextVar[LogContext | LogSource | None] = ContextVar("pynenc_log_context", default=None)


def current_log_context() -> LogContext | None:
    """Return the run that the current code belongs to, None outside of runs."""
    current = _current.get()
    return current if current is None or isinstance(current, LogContext) else current.log_context


def begin_log_context(source: LogSource) -> Token[LogContext | LogSource | None]:
    """Let records of this thread or coroutine, and of what it starts, carry the context of `source` until its end."""
    return _current.set(source)


def end_log_context(token: Token[LogContext | LogSource | None]) -> None:
    """Let records carry what they did before."""
    _current.reset(token)


@contextmanager
def log_context(context: LogContext) -> Iterator[None]:
    """Let records of this thread or coroutine, and of what it starts, carry `context`."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


_bound: ContextVar[Mapping[str, str]] = ContextVar("pynenc_log_fields", default=_NONE)


def current_fields() -> Mapping[str, str]:
    """Return the fields that records of the current code get besides `FIELDS`."""
    return _bound.get()


@contextmanager
def bound_fields(fields: Mapping[str, str]) -> Iterator[None]:
    """Let records of this thread or coroutine have `fields`, and no others besides `FIELDS`."""
    token = _bound.set(fields)
    try:
        yield
    finally:
        _bound.reset(token)


class ContextFilter(logging.Filter):
    """Gives records the attributes of `FIELDS` and the bound ones, so that any format may use them. Lets all pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = current_log_context()
        for name in FIELDS:
            if not hasattr(record, name):
                setattr(record, name, None if context is None else getattr(context, name))
        bound = _bound.get()
        if bound:
            record.bound_fields = bound
            for name, value in bound.items():
                if not hasattr(record, name):
                    setattr(record, name, value)
        return True


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of a task: its records name the task and, inside a run, the invocation, whatever the handler."""

    def __init__(self, logger: logging.Logger, task_id: str) -> None:
        super().__init__(logger, {"task_id": task_id})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        context = current_log_context()
        fields = {} if context is None else context.fields()
        kwargs["extra"] = {**_bound.get(), **(kwargs.get("extra") or {}), **fields, **(self.extra or {})}
        return msg, kwargs


def task_logger(task_id: str) -> TaskLogger:
    """Return the logger of a task, `pynenc.task.<task_id>`."""
    return TaskLogger(logging.getLogger(f"pynenc.task.{task_id}"), task_id)
