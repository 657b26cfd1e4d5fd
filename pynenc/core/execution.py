"""One attempt: from a claim to a completion. The only place where the body of a task is called."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextvars import Token
from typing import TYPE_CHECKING, Any

from pynenc.conf.config_pynenc import ArgumentPrintMode
from pynenc.context import RunContext, current_run, decoding_app
from pynenc.core.chaining import filled, has_places
from pynenc.core.patience import OutOfReach, patiently
from pynenc.core.settling import failure, limit_error, retry_or_failure, timeout_or_failure
from pynenc.errors import (
    Cancel,
    ConfigurationError,
    DataOutOfReach,
    ResultNotKept,
    Retry,
    RetryError,
    RunnerStopped,
    StoreError,
    TaskNotFound,
)
from pynenc.io import Op, run
from pynenc.logs.arguments import render_arguments
from pynenc.logs.context import begin_log_context, end_log_context
from pynenc.model.ids import id_text
from pynenc.model.policies import decode_policy
from pynenc.model.records import Cancelled, Claim, Completion, Release, Success
from pynenc.ports.attempts import AttemptExecution
from pynenc.ports.run_link import RunLink
from pynenc.ports.stopping import Seen, StopReason

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.middleware.base import Middleware
    from pynenc.middleware.registry import Hooks
    from pynenc.task import Task

logger = logging.getLogger(__name__)

_LIMITS = (StopReason.TIMEOUT, StopReason.CPU_TIME)
_UNKNOWN_TASK_CLAIMS = 12
_UNKNOWN_TASK_DELAY_US = 5_000_000
_OUT_OF_REACH_DELAY_US = 10_000_000
_FETCH_S = 5.0
"""How long a body's slot waits for its arguments; others may be able to run."""


class TaskExecution(AttemptExecution):
    """Runs bodies of the tasks of one app."""

    def __init__(self, app: Pynenc) -> None:
        self._app = app

    def is_async(self, claim: Claim) -> bool:
        try:
            return self._app.get_task(claim.task_id).is_async
        except TaskNotFound:
            return False

    def run(self, claim: Claim, link: RunLink) -> Completion:
        try:
            task = self._app.get_task(claim.task_id)
        except TaskNotFound as error:
            return self._unknown_task(claim, error)
        hooks = self._app.hooks
        try:
            tokens = self._begin(task, claim, link)
            try:
                if hooks.run:
                    return run(self._between_hooks(hooks, task, claim, link))
                found = self._arguments_here(task, claim)
                args, kwargs = run(self._arguments(task, claim, link)) if found is None else found
                self._log_begin(task, claim, args, kwargs)
                sealed = task.payloads.seal_value(_call(task, args, kwargs))
                return Success(
                    invocation_id=claim.invocation_id,
                    epoch=claim.epoch,
                    result=sealed if task.payloads.fits(sealed) else run(self._kept(task, claim, link, sealed)),
                    worker=link.worker,
                )
            finally:
                self._end(tokens)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises becomes a completion
            return self._settle(task, claim, link, error)

    async def arun(self, claim: Claim, link: RunLink) -> Completion:
        import asyncio

        from pynenc.io import arun

        try:
            task = self._app.get_task(claim.task_id)
        except TaskNotFound as error:
            return self._unknown_task(claim, error)
        hooks = self._app.hooks
        try:
            tokens = self._begin(task, claim, link)
            try:
                if hooks.run:
                    return await arun(self._between_hooks(hooks, task, claim, link))
                found = self._arguments_here(task, claim)
                args, kwargs = await arun(self._arguments(task, claim, link)) if found is None else found
                self._log_begin(task, claim, args, kwargs)
                sealed = task.payloads.seal_value(await task.func(*args, **kwargs))
                return Success(
                    invocation_id=claim.invocation_id,
                    epoch=claim.epoch,
                    result=sealed if task.payloads.fits(sealed) else await arun(self._kept(task, claim, link, sealed)),
                    worker=link.worker,
                )
            finally:
                self._end(tokens)
        except asyncio.CancelledError as error:
            if _stopped_by_executor(link):
                raise
            return self._settle(task, claim, link, error)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises becomes a completion
            return self._settle(task, claim, link, error)

    def _between_hooks(self, hooks: Hooks, task: Task[..., Any], claim: Claim, link: RunLink) -> Op[Completion]:
        """Run the body between the hooks of middleware, decided before they hear of it how the attempt ends.

        Raises:
            asyncio.CancelledError: as `arun` does.
        """
        from pynenc.middleware.events import Ending, RunEvent, ending_of

        event = RunEvent(task, claim, runner=link.runner_name, worker=link.worker)
        entered: list[Middleware] = []
        completion: Completion | None = None

        def ends_by(error: BaseException) -> None:
            nonlocal completion
            event.error = error
            completion = self._end_of(task, claim, link, error)
            event.ending = Ending.STOPPED if completion is None else ending_of(completion)

        try:
            yield from hooks.enter("run", event, entered)
            if event.decoded is None:
                event.decoded = yield from self._arguments(task, claim, link)
            else:
                event.decoded = yield from filled(self._app, *event.decoded)
            args, kwargs = event.decoded
            self._log_begin(task, claim, args, kwargs)
            event.value = yield BodyCall(task, args, kwargs)
            sealed = task.payloads.seal_value(event.value)
            result = yield from self._kept(task, claim, link, sealed)
            completion = Success(
                invocation_id=claim.invocation_id, epoch=claim.epoch, result=result, worker=link.worker
            )
            event.ending = Ending.SUCCESS
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever user code raises becomes a completion
            ends_by(error)
        yield from hooks.leave("run", event, entered, interrupted=ends_by)
        if completion is None:
            assert event.error is not None
            raise event.error
        return completion

    def _end_of(self, task: Task[..., Any], claim: Claim, link: RunLink, error: BaseException) -> Completion | None:
        """Return what an error of the body means; None if that is the executor's to say."""
        if _is_cancellation(error) and _stopped_by_executor(link):
            return None
        return self._settle(task, claim, link, error)

    def stopped(self, claim: Claim, why: StopReason, seen: Seen) -> Completion:
        policy = decode_policy(claim.policy)
        error = limit_error(claim, policy, why, seen)
        sealed = self._app.payloads.encode_error(error)
        if why is not StopReason.MEMORY:
            return timeout_or_failure(claim, policy, sealed)
        if isinstance(error, self._retry_for(claim)):
            return retry_or_failure(claim, policy, sealed, 0)
        return failure(claim, sealed, 0)

    def _retry_for(self, claim: Claim) -> tuple[type[BaseException], ...]:
        try:
            return self._app.get_task(claim.task_id).retry_for
        except TaskNotFound:
            return ()

    def _arguments_here(self, task: Task[..., Any], claim: Claim) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Return the arguments if nothing has to be fetched for them, which is nearly always."""
        token = decoding_app.set(self._app)
        try:
            found = task.payloads.arguments_here(claim.arguments)
        finally:
            decoding_app.reset(token)
        return None if found is None or has_places(*found) else found

    def _arguments(
        self, task: Task[..., Any], claim: Claim, link: RunLink
    ) -> Op[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments.

        Raises:
            OutOfReach: they are kept where nothing answers, and nothing did within a few seconds.
        """
        token = decoding_app.set(self._app)
        try:
            args, kwargs = yield from patiently(
                lambda: task.payloads.decode_arguments(claim.arguments),
                on=DataOutOfReach,
                for_s=min(_FETCH_S, self._app.conf.client_data_patience),
                stopping=lambda: link.stopping is not None,
                what=f"reading the arguments of {id_text(claim.invocation_id)}",
            )
        except (DataOutOfReach, ConfigurationError) as error:
            raise OutOfReach(str(error)) from error
        finally:
            decoding_app.reset(token)
        return (yield from filled(self._app, args, kwargs))

    def _kept(self, task: Task[..., Any], claim: Claim, link: RunLink, sealed: bytes) -> Op[bytes]:
        """Return what the record carries of a result: the result itself, or a reference once the data is kept.

        The runner holds the lease meanwhile, whether the body runs or waits for its result to be kept.

        Raises:
            ResultNotKept: it cannot be kept, and could not for as long as the app has patience.
        """
        patience_s = self._app.conf.client_data_patience
        try:
            return (
                yield from patiently(
                    lambda: task.payloads.offload(sealed),
                    on=StoreError,
                    for_s=patience_s,
                    stopping=lambda: link.stopping is not None,
                    what=f"keeping the result of {id_text(claim.invocation_id)}",
                )
            )
        except (StoreError, ConfigurationError) as error:
            raise ResultNotKept(
                f"the body of {claim.task_id} ended well, but its result of {len(sealed)} bytes could not be kept "
                f"within {patience_s:g} s: {error}. Once that is mended, let it run again: "
                f"pynenc dead requeue {id_text(claim.invocation_id)}"
            ) from error

    def _log_begin(self, task: Task[..., Any], claim: Claim, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not logger.isEnabledFor(logging.DEBUG):
            return
        conf = self._app.conf
        mode = conf.argument_print_mode if conf.print_arguments else ArgumentPrintMode.HIDDEN
        shown = render_arguments(task.args(*args, **kwargs).kwargs, mode, conf.truncate_arguments_length)
        logger.debug("%s(%s) begins attempt %d", claim.task_id, shown, claim.attempt)

    @staticmethod
    def _end(tokens: tuple[Token[Any], Token[Any]]) -> None:
        current_run.reset(tokens[0])
        end_log_context(tokens[1])

    def _begin(self, task: Task[..., Any], claim: Claim, link: RunLink) -> tuple[Token[Any], Token[Any]]:
        """Let the code of this context know which run it is, until `_end`."""
        context = RunContext(self._app, task, claim, link)
        return current_run.set(context), begin_log_context(context)

    def _settle(self, task: Task[..., Any], claim: Claim, link: RunLink, error: BaseException) -> Completion:
        """Decide what an error of the body means."""
        if isinstance(error, Cancel):
            return _cancelled(claim, link, str(error) or "cancelled by its own body")
        if isinstance(error, RunnerStopped):
            return Release(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=str(error), worker=link.worker)
        if isinstance(error, OutOfReach):
            return _later(claim, link, error)
        if link.stopping is StopReason.CANCEL and (_is_cancellation(error) or isinstance(error, ResultNotKept)):
            return _cancelled(claim, link, "cancelled while running")
        if link.stopping in _LIMITS:
            # Whatever it raised then: the interruption may have met code that turns it into another error, or loses it.
            return self.stopped(claim, link.stopping, Seen(how="its body was interrupted", stack=_stack_of(error)))
        sealed = task.payloads.encode_error(error)
        policy = decode_policy(claim.policy)
        if isinstance(error, Retry) and error.after is not None:
            return retry_or_failure(claim, policy, sealed, link.worker, delay_us=_microseconds(error.after))
        if isinstance(error, (RetryError, *task.retry_for)):
            return retry_or_failure(claim, policy, sealed, link.worker)
        return failure(claim, sealed, link.worker)

    def _unknown_task(self, claim: Claim, error: TaskNotFound) -> Completion:
        """Leave work of another code version to runners that know it; give up when none turns up."""
        if claim.epoch <= _UNKNOWN_TASK_CLAIMS:
            logger.warning("%s; handing %s back", error, id_text(claim.invocation_id))
            return Release(
                invocation_id=claim.invocation_id,
                epoch=claim.epoch,
                delay_us=_UNKNOWN_TASK_DELAY_US,
                detail=str(error),
            )
        return failure(claim, self._app.payloads.encode_error(error), 0)


class BodyCall:
    """A request to call the body of a task."""

    __slots__ = ("_args", "_kwargs", "_task")

    def __init__(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._task = task
        self._args = args
        self._kwargs = kwargs

    def send(self) -> Any:
        return _call(self._task, self._args, self._kwargs)

    async def asend(self) -> Any:
        return await self._task.func(*self._args, **self._kwargs)


def _call(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the body here; an asynchronous one gets an event loop of its own."""
    value = task.func(*args, **kwargs)
    if not task.is_async:
        return value
    import asyncio

    return asyncio.run(value)


def _stopped_by_executor(link: RunLink) -> bool:
    """Whether the running coroutine is being cancelled for a reason that is not a request to cancel its invocation."""
    import asyncio

    try:
        current = asyncio.current_task()
    except RuntimeError:
        return False
    return link.stopping is not StopReason.CANCEL and current is not None and bool(current.cancelling())


def _cancelled(claim: Claim, link: RunLink, detail: str) -> Cancelled:
    return Cancelled(invocation_id=claim.invocation_id, epoch=claim.epoch, detail=detail, worker=link.worker)


def _later(claim: Claim, link: RunLink, error: OutOfReach) -> Release:
    """Hand back, uncounted, what has not begun because its arguments cannot be read now."""
    logger.warning("handing %s back: its arguments are out of reach: %s", id_text(claim.invocation_id), error)
    return Release(
        invocation_id=claim.invocation_id,
        epoch=claim.epoch,
        delay_us=_OUT_OF_REACH_DELAY_US,
        detail=f"its arguments are out of reach: {error}",
        worker=link.worker,
    )


def _stack_of(error: BaseException) -> str:
    """Return where an interruption met the body: only the frames below this module are the body's."""
    frames = traceback.extract_tb(error.__traceback__)
    shown = traceback.format_list([frame for frame in frames if frame.filename != __file__])
    return "".join(shown).rstrip()


def _is_cancellation(error: BaseException) -> bool:
    # asyncio is not imported for this: who raises its CancelledError has imported it.
    return any(cls.__name__ == "CancelledError" for cls in type(error).__mro__)


def _microseconds(duration: Any) -> int:
    seconds: Callable[[], float] | None = getattr(duration, "total_seconds", None)
    return max(0, int((seconds() if seconds else float(duration)) * 1_000_000))
