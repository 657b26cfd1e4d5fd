"""Log records as lines for people, and as JSON."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from pynenc.logs.context import FIELDS, RESERVED

_COLORS = {"DEBUG": "\x1b[2m", "INFO": "\x1b[32m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}
_RESET = "\x1b[0m"


class TextFormatter(logging.Formatter):
    """`12:00:00.123 INFO     logger: message  [task invocation attempt 2 on runner]  field=value`, local time.

    Args:
        colors: whether to colour levels.
        compact: whether to shorten ids.
    """

    def __init__(self, *, colors: bool = False, compact: bool = True) -> None:
        super().__init__()
        self._colors = colors
        self._compact = compact

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        head = f"{clock}.{int(record.msecs):03d} {self._level(record.levelname)} {record.name}: {record.getMessage()}"
        return head + self._context(record) + self._fields(record) + self._trouble(record)

    def _level(self, name: str) -> str:
        padded = f"{name:<8}"
        return f"{_COLORS.get(name, '')}{padded}{_RESET}" if self._colors else padded

    def _context(self, record: logging.LogRecord) -> str:
        invocation, task, attempt, runner, worker = (getattr(record, name, None) for name in FIELDS)
        if invocation is None:
            return ""
        if self._compact:
            # The end tells ids of one moment apart: the beginning is the time.
            invocation = f"…{str(invocation)[-12:]}"
            task = str(task).rpartition(".")[2]
        where = f" on {runner}" if runner else ""
        who = f" worker {worker}" if worker else ""
        return f"  [{task} {invocation} attempt {attempt}{where}{who}]"

    def _fields(self, record: logging.LogRecord) -> str:
        bound: Mapping[str, str] = getattr(record, "bound_fields", {})
        return "".join(f"  {name}={value}" for name, value in bound.items())

    def _trouble(self, record: logging.LogRecord) -> str:
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        parts = [record.exc_text, self.formatStack(record.stack_info) if record.stack_info else None]
        return "".join(f"\n{part}" for part in parts if part)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp (UTC), level, logger, message, the run if any, the exception, extras."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        found: dict[str, Any] = {
            "timestamp": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found.update((name, value) for name in FIELDS if (value := getattr(record, name, None)) is not None)
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            found["stack"] = record.stack_info
        for name, value in vars(record).items():
            if name not in RESERVED and name not in found:
                found[name] = _encodable(value)
        return json.dumps(found)


def _encodable(value: Any) -> Any:
    """Return what JSON has a form for, else its repr."""
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - user code: a log must not fail for its sake
        return f"<{type(value).__name__} without repr>"
