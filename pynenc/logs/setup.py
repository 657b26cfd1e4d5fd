"""Switches logging on, for the processes that belong to Pynenc: runners and the command line."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO

from pynenc.conf.config_pynenc import LogFormat
from pynenc.logs.context import ContextFilter
from pynenc.logs.formatters import JsonFormatter, TextFormatter

if TYPE_CHECKING:
    from pynenc.config.app_config import AppConfig


class PynencHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure_logging` puts on the root logger; there is at most one."""


def configure_logging(conf: AppConfig) -> None:
    """Write log records as `conf` says. To be called once a process, again after a change.

    A program that has handlers on its root logger keeps them: they only learn the attributes of `ContextFilter`.
    """
    level = conf.logging_level.upper()
    logging.getLogger("pynenc").setLevel(level)
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, PynencHandler)]:
        root.removeHandler(earlier)
    if root.handlers:
        for handler in root.handlers:
            if not any(isinstance(known, ContextFilter) for known in handler.filters):
                handler.addFilter(ContextFilter())
        return
    root.setLevel(level)
    root.addHandler(_handler(conf))


def _handler(conf: AppConfig) -> PynencHandler:
    stream = sys.stdout if conf.log_stream == "stdout" else sys.stderr
    handler = PynencHandler(stream)
    handler.addFilter(ContextFilter())
    if conf.log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        colors = _wants_colors(stream) if conf.log_use_colors is None else conf.log_use_colors
        handler.setFormatter(TextFormatter(colors=colors, compact=conf.compact_log_context))
    return handler


def _wants_colors(stream: TextIO) -> bool:
    """Whether the stream is a terminal of somebody who does not object to colours: https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR")
