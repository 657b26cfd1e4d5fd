"""The middleware of an app, sorted by the hooks it has: one that nobody overrides costs a look at an empty tuple."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pynenc.errors import Cancel, LimitExceeded, RunnerStopped
from pynenc.io import Op
from pynenc.middleware.base import Middleware
from pynenc.middleware.events import Event

T = TypeVar("T")

HOOKS = {
    "submit": ("before_submit", "after_submit", "abefore_submit", "aafter_submit"),
    "wait": ("before_wait", "after_wait", "abefore_wait", "aafter_wait"),
    "run": ("before_run", "after_run", "abefore_run", "aafter_run"),
    "claim": ("before_claim", "after_claim"),
    "settle": ("before_settle", "after_settle"),
    "relay": ("after_relay",),
}
_MAY_REFUSE = ("submit", "run")


class Hooks:
    """Who wants to be called when.

    Attributes:
        all: every middleware, in order.
        submit, wait, run, claim, settle, relay: those that override a hook of this kind.
    """

    __slots__ = ("_said", "all", "claim", "relay", "run", "settle", "submit", "wait")

    def __init__(self) -> None:
        self._said: set[tuple[str, str, str]] = set()
        self.all: tuple[Middleware, ...] = ()
        self.submit: tuple[Middleware, ...] = ()
        self.wait: tuple[Middleware, ...] = ()
        self.run: tuple[Middleware, ...] = ()
        self.claim: tuple[Middleware, ...] = ()
        self.settle: tuple[Middleware, ...] = ()
        self.relay: tuple[Middleware, ...] = ()

    def add(self, *middleware: Middleware) -> None:
        """Put these behind those that are there."""
        self.all = (*self.all, *middleware)
        for kind, names in HOOKS.items():
            setattr(self, kind, tuple(each for each in self.all if _overrides(each, names)))

    # --- around something that a caller does ---

    def around(self, kind: str, event: Event, inner: Op[T]) -> Op[T]:
        """Perform `inner` between the hooks of a kind."""
        entered: list[Middleware] = []
        try:
            yield from self.enter(kind, event, entered)
            result = yield from inner
        except GeneratorExit:
            raise
        except BaseException as error:
            event.error = error
            yield from self.leave(kind, event, entered)
            raise
        yield from self.leave(kind, event, entered)
        return result

    def enter(self, kind: str, event: Event, entered: list[Middleware]) -> Op[None]:
        """Call the before hooks of a kind; note in `entered` whose after hook is due."""
        name = f"before_{kind}"
        for each in getattr(self, kind):
            try:
                yield HookCall(each, name, event)
            except Exception as error:
                if kind in _MAY_REFUSE or is_interruption(error):
                    raise
                self.failed(each, name, error)
            else:
                entered.append(each)

    def leave(
        self,
        kind: str,
        event: Event,
        entered: list[Middleware],
        *,
        interrupted: Callable[[BaseException], None] | None = None,
    ) -> Op[None]:
        """Call the after hooks of those that were entered, the last one first.

        Args:
            interrupted: is told of an interruption of the body that comes meanwhile; the rest of the hooks follows.

        Raises:
            BaseException: the interruption, once all were called, if nobody is to be told.
        """
        name = f"after_{kind}"
        late: BaseException | None = None
        while entered:
            each = entered.pop()
            try:
                yield HookCall(each, name, event)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - code of users; the rest has to be called all the same
                if not is_interruption(error):
                    self.failed(each, name, error)
                elif interrupted is not None:
                    interrupted(error)
                else:
                    late = event.error = error
        if late is not None:
            raise late

    # --- where nothing but the hook itself happens ---

    def call(self, middleware: Middleware, name: str, event: Event) -> bool:
        """Call one plain hook; return whether it returned."""
        try:
            getattr(middleware, name)(event)
        except Exception as error:  # noqa: BLE001 - code of users must not break a runner
            self.failed(middleware, name, error)
            return False
        return True

    def flush(self) -> None:
        """Let all send what they have buffered."""
        for each in self.all:
            try:
                each.flush()
            except Exception as error:  # noqa: BLE001 - as above
                self.failed(each, "flush", error)

    def failed(self, middleware: Middleware, name: str, error: BaseException) -> None:
        """Log an error of a hook with its traceback: once per kind, then at debug level."""
        import logging

        kind = type(middleware).__qualname__, name, type(error).__qualname__
        level = logging.DEBUG if kind in self._said else logging.ERROR
        self._said.add(kind)
        logging.getLogger("pynenc.middleware").log(
            level,
            "%s.%s failed and is passed over (further errors of this kind at debug level): %r",
            *kind[:2],
            error,
            exc_info=error,
        )


class HookCall:
    """A request to call one hook, in the form that suits the caller."""

    __slots__ = ("_event", "_middleware", "_name")

    def __init__(self, middleware: Middleware, name: str, event: Event) -> None:
        self._middleware = middleware
        self._name = name
        self._event = event

    def send(self) -> None:
        getattr(self._middleware, self._name)(self._event)

    async def asend(self) -> None:
        await getattr(self._middleware, f"a{self._name}")(self._event)


def is_interruption(error: BaseException) -> bool:
    """Whether an error stops the body that called, instead of telling of a defect: cancelled, out of time, given up."""
    return not isinstance(error, Exception) or isinstance(error, (Cancel, LimitExceeded, RunnerStopped))


def _overrides(middleware: Any, names: Iterable[str]) -> bool:
    return any(getattr(type(middleware), name, None) is not getattr(Middleware, name) for name in names)
