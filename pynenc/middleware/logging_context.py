"""Fields of log records that travel from who submits to what runs, and on to its children: a request id, a tenant."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pynenc.errors import CarrierFull
from pynenc.logs.context import RESERVED, bound_fields, current_fields
from pynenc.middleware.base import Middleware
from pynenc.middleware.events import RunEvent, SubmitEvent

PREFIX = "log."
MOST_FIELDS = 16
LONGEST_NAME = 64
LONGEST_VALUE = 256

logger = logging.getLogger(__name__)


class LoggingContext(Middleware):
    """Lets fields travel: what is bound where a call is made is in every record of its run and of its children's.

        app.add_middleware(LoggingContext())

        with LoggingContext.bind(request_id="r-17"):
            send_invoice(order_id)

    Values travel as text, cut to 256 characters; at most 16 fields do.
    """

    def __init__(self, source: Callable[[], Mapping[str, object]] | None = None) -> None:
        """
        Args:
            source: returns more fields where a call is made, for programs that keep them elsewhere already
                (context variables of their own, structlog). What is bound here wins.
        """
        self._source = source
        self._said_full = False

    @staticmethod
    @contextmanager
    def bind(**fields: object) -> Iterator[None]:
        """Let records of this block, and of the runs of what it submits, have these fields besides those bound before.

        Raises:
            ValueError: a name is no identifier or one that log records have, or there are too many fields.
        """
        for name in fields:
            if not _is_allowed(name):
                raise ValueError(
                    f"a log field cannot be called {name!r}: it has to be an identifier that records do not have"
                )
        merged = {**current_fields(), **_as_texts(fields)}
        if len(merged) > MOST_FIELDS:
            raise ValueError(f"at most {MOST_FIELDS} log fields may be bound, not {len(merged)}")
        with bound_fields(merged):
            yield

    def before_submit(self, submit: SubmitEvent) -> None:
        """Let the fields in force travel with every call."""
        fields = current_fields()
        if self._source is not None:
            given = {name: value for name, value in self._source().items() if _is_allowed(name)}
            fields = {**_as_texts(given), **fields}
        for name, value in fields.items():
            for call in submit.calls:
                try:
                    call.carry(PREFIX + name, value)
                except CarrierFull as error:
                    self._complain(name, error)

    def _complain(self, name: str, error: CarrierFull) -> None:
        if not self._said_full:
            self._said_full = True
            logger.warning("the log field %s does not travel (said once): %s", name, error)

    def before_run(self, run: RunEvent) -> None:
        """Put into force what travelled here."""
        carried = {
            key.removeprefix(PREFIX): value
            for key, value in run.carrier.items()
            if key.startswith(PREFIX) and _is_allowed(key.removeprefix(PREFIX))
        }
        binding = bound_fields(_as_texts(dict(list(carried.items())[:MOST_FIELDS])))
        binding.__enter__()
        run.state[self] = binding

    def after_run(self, run: RunEvent) -> None:
        run.state.pop(self).__exit__(None, None, None)


def _is_allowed(name: str) -> bool:
    return name.isidentifier() and len(name) <= LONGEST_NAME and name not in RESERVED


def _as_texts(fields: Mapping[str, object]) -> dict[str, str]:
    """Return values as texts that cannot be taken for more than one line of a log."""
    return {name: _one_line(str(value)) for name, value in fields.items()}


def _one_line(text: str) -> str:
    cut = text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
    return (
        cut
        if cut.isprintable()
        else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in cut)
    )
