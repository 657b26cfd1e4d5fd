"""Tasks: functions that can be called to run somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from pynenc.call import Arguments, Binder, Call, Link
from pynenc.core.keys import KeyedCall
from pynenc.core.submitting import UNGUARDED, PreparedCall, cached_result, idempotency
from pynenc.errors import InvalidTaskOptionsError, NotYetAvailable
from pynenc.io import Op, arun, run
from pynenc.model.ids import InvocationId, parse_id
from pynenc.model.policies import encode_policy
from pynenc.model.records import AfterPolicy, Dedupe, SubmitVerdict

if TYPE_CHECKING:
    import logging

    from pynenc.app import Pynenc
    from pynenc.config.task_options import TaskOptions
    from pynenc.core.guarding import Guard
    from pynenc.core.keys import SharedArguments
    from pynenc.core.payloads import Payloads
    from pynenc.invocation import BaseInvocation, BaseInvocationGroup, DistributedInvocation

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_REUSED = (SubmitVerdict.DEDUPED, SubmitVerdict.DEBOUNCED)
AFTER_POLICIES = {
    "success": AfterPolicy.ALL_SUCCEEDED,
    "done": AfterPolicy.ALL_DONE,
    "fail": AfterPolicy.SUCCEEDED_OR_FAIL,
}


class Task(Generic[P, R]):
    """A function of an app. Calling it submits an invocation and returns at once.

    Attributes:
        func: the function itself.
        task_id: `module.function`, how stores and other processes know it.
        conf: its options.
    """

    def __init__(self, app: Pynenc, func: Callable[..., Any], options: Mapping[str, Any]) -> None:
        from pynenc.core.loading import task_id_of

        self.app = app
        self.func = func
        self.task_id = task_id_of(func)
        self._decorator_options = dict(options)
        self._binder = Binder(func)
        self.is_async = _is_coroutine_function(func)
        self._options: TaskOptions | None = None
        update_wrapper(self, func)

    # --- calling ---

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> BaseInvocation[P, R]:
        """Submit a call and return its invocation; raises TypeError as a plain call would."""
        if self.app.runs_inline:
            return self._run_inline(args, kwargs)
        return run(self._submit(args, kwargs))

    async def acall(self, *args: P.args, **kwargs: P.kwargs) -> BaseInvocation[P, R]:
        """Submit a call without blocking the running event loop."""
        if self.app.runs_inline:
            return await self._arun_inline(args, kwargs)
        return await arun(self._submit(args, kwargs))

    def local(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the plain function, here and now."""
        return self.func(*args, **kwargs)

    def args(self, *args: P.args, **kwargs: P.kwargs) -> Arguments:
        """Return checked arguments, for `parallelize` and `app.submit_many`."""
        return self._binder.bind(args, kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[P, R]:
        """Return a call for `app.submit_many`, without submitting it."""
        return Call(self, self._binder.bind(args, kwargs))

    def parallelize(
        self,
        param_iter: Iterable[tuple[Any, ...] | dict[str, Any] | Arguments | Any],
        common_args: Mapping[str, Any] | None = None,
    ) -> BaseInvocationGroup[P, R]:
        """Submit one call per element, `parallel_batch_size` of them per round trip.

        Args:
            param_iter: tuples of positional arguments, dictionaries of keyword arguments, `task.args(...)`, or
                single values for tasks of one parameter.
            common_args: keyword arguments that every call gets as well; encoded once.
        """
        from pynenc.core.parallel import submit_parallel

        return submit_parallel(self, param_iter, common_args)

    async def aparallelize(
        self,
        param_iter: Iterable[tuple[Any, ...] | dict[str, Any] | Arguments | Any],
        common_args: Mapping[str, Any] | None = None,
    ) -> BaseInvocationGroup[P, R]:
        """`parallelize` without blocking the running event loop."""
        from pynenc.core.parallel import asubmit_parallel

        return await asubmit_parallel(self, param_iter, common_args)

    def map(self, values: Iterable[Any]) -> BaseInvocationGroup[P, R]:
        """Submit one call per value, each passed as the only positional argument."""
        return self.parallelize((value,) for value in values)

    def options(self, **overrides: Any) -> Task[P, R]:
        """Return this task with other options, for calls such as `task.options(delay=10)(x)`."""
        return TaskVariant(self, self.options_in_force.replace(**overrides))

    def after(
        self,
        invocations: Iterable[BaseInvocation[..., Any]] | BaseInvocation[..., Any],
        policy: str = "success",
        *,
        need: int | str = "all",
    ) -> Task[P, R]:
        """Return this task so that its calls start only once `invocations` (also a group) have ended.

        Args:
            policy: `"success"`: once too few of them can still succeed, the call is cancelled; `"fail"`: then it fails;
                `"done"`: they count however they end.
            need: `"all"` of them, `"any"` one, or so many.
        """
        if policy not in AFTER_POLICIES:
            raise InvalidTaskOptionsError(
                f"policy={policy!r} of after() is unknown; it is one of {', '.join(map(repr, AFTER_POLICIES))}"
            )
        given = list(invocations) if isinstance(invocations, Iterable) else [invocations]
        variant = TaskVariant(self, self.options_in_force)
        variant.after_ids = tuple(dict.fromkeys(parse_id(invocation.invocation_id) for invocation in given))
        variant.after_policy = AFTER_POLICIES[policy]
        variant.after_need = _checked_need(need, len(variant.after_ids))
        return variant

    after_ids: tuple[InvocationId, ...] = ()
    after_policy = AfterPolicy.ALL_SUCCEEDED
    after_need = 0

    def link(self, *args: Any, **kwargs: Any) -> Link:
        """Return this task as a link of `app.chain`: the result of the one before comes first, then these arguments."""
        return Link(self, args, kwargs)

    # --- what it is made of ---

    @property
    def options_in_force(self) -> TaskOptions:
        """The options after configuration was applied; read when first needed."""
        if self._options is None:
            from pynenc.config.task_options import TaskOptions

            self._options = TaskOptions.build(self.task_id, self._decorator_options, self.app.conf)
        return self._options

    @property
    def conf(self) -> TaskOptions:
        return self.options_in_force

    @property
    def retry_for(self) -> tuple[type[BaseException], ...]:
        """Exception classes that lead to a retry, besides RetryError."""
        return self.options_in_force.retry_for

    @cached_property
    def encoded_policy(self) -> bytes:
        return encode_policy(self.options_in_force.policy())

    @property
    def delay_us(self) -> int:
        options = self.options_in_force
        return int(max(options.delay or 0, options.debounce or 0) * 1_000_000)

    @property
    def start_at_us(self) -> int | None:
        start_at = self.options_in_force.start_at
        return None if start_at is None else round(start_at.timestamp() * 1_000_000)

    @property
    def expires_us(self) -> int | None:
        expires = self.options_in_force.expires
        return None if expires is None else int(expires * 1_000_000)

    @property
    def retention_us(self) -> int | None:
        own = self.options_in_force.retention
        return self.app.retention_us if own is None else int(own * 1_000_000)

    @cached_property
    def payloads(self) -> Payloads:
        """How this task's values are kept: with its own serializer and threshold, else the app's."""
        options = self.options_in_force
        if options.serializer is None and options.client_data_threshold is None:
            return self.app.payloads
        return self.app.payloads_for(options.serializer, options.client_data_threshold)

    @cached_property
    def logger(self) -> logging.LoggerAdapter[Any]:
        """A logger whose records carry the task and, inside a run, the invocation and its runner."""
        from pynenc.logs.context import task_logger

        return task_logger(self.task_id)

    @property
    def invocation(self) -> DistributedInvocation[P, R]:
        """The invocation whose body is running.

        Raises:
            RuntimeError: called outside a run of this task.
        """
        from pynenc.context import current_run

        context = current_run.get()
        if context is None or context.task.task_id != self.task_id:
            raise RuntimeError(f"{self.task_id}.invocation is only available while the task runs")
        invocation: DistributedInvocation[..., Any] = context.invocation
        return cast("DistributedInvocation[P, R]", invocation)

    @property
    def wf(self) -> Any:
        raise NotYetAvailable("task.wf (workflows)")

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"task {self.task_id} cannot be pickled; pass its task_id")

    def __repr__(self) -> str:
        return f"Task({self.task_id})"

    # --- submitting ---

    def prepare(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], shared: SharedArguments | None = None
    ) -> PreparedCall:
        """Check and encode arguments; nothing is stored yet.

        Args:
            shared: those of `kwargs` that were stored once for many calls, as they were before.

        Raises:
            TypeError: the function does not take these arguments.
            SerializationError: an argument cannot be kept; names it.
            InvalidTaskOptionsError: options of the task do not go together.
            GatesUnsupported: the store cannot keep the limits of the task.
        """
        self._binder.check(args, kwargs)
        sealed = self.payloads.encode_arguments(args, kwargs, self._names)
        guard = self.guard
        guarded = UNGUARDED if guard is None else guard.before(KeyedCall(self._binder, args, kwargs, shared))
        return PreparedCall(
            self,
            sealed,
            guarded.dedupe or self._dedupe(args, kwargs, shared),
            after=self.after_ids,
            after_policy=self.after_policy,
            after_need=self.after_need,
            gates=guarded.gates,
            flow=guarded.flow,
        )

    def changed_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], changes: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with some replaced, by name; raises TypeError for a name the function does not have."""
        return self._binder.changed(args, kwargs, changes)

    def check(self, options: TaskOptions) -> None:
        """Check what options put before its calls, as early as possible.

        Raises:
            InvalidTaskOptionsError: a key names what is no argument, or options do not go together.
        """
        from pynenc.core.guarding import Guard, is_guarded

        if is_guarded(options):
            Guard(self.task_id, options, self.parameter_names)

    @cached_property
    def guard(self) -> Guard | None:
        """What stands before its calls: limits and the like; None if nothing does.

        Raises:
            InvalidTaskOptionsError: its options do not go together.
            GatesUnsupported: the store cannot keep them.
        """
        from pynenc.core.guarding import guard_of

        return guard_of(self)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return self._binder.positional_names()

    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the parameters of the function, in order."""
        return self._names

    def _dedupe(self, args: tuple[Any, ...], kwargs: dict[str, Any], shared: SharedArguments | None) -> Dedupe | None:
        options = self.options_in_force
        key = options.idempotency_key
        if key is not None:
            said = key if isinstance(key, str) else str(KeyedCall(self._binder, args, kwargs, shared).ask(key))
            return idempotency(self.task_id, said)
        if options.call_result_cache:
            bound = self._binder.bind(args, kwargs).kwargs
            ignored = bound if "*" in options.disable_cache_args else options.disable_cache_args
            kept = {name: bound[name] for name in sorted(bound) if name not in ignored}
            return cached_result(self.task_id, self.payloads.encode_arguments((), kept, ()))
        return None

    def _submit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op[BaseInvocation[P, R]]:
        invocations = yield from self.submit_prepared([self.prepare(args, kwargs)])
        return invocations[0]

    def submit_prepared(self, calls: Sequence[PreparedCall]) -> Op[list[BaseInvocation[P, R]]]:
        """Submit prepared calls in one round trip."""
        from pynenc.invocation.distributed import DistributedInvocation, ReusedInvocation

        replies = yield from self.app.submitter.submit(calls)
        return [
            (ReusedInvocation if reply.verdict in _REUSED else DistributedInvocation)(
                cast("Task[P, R]", call.task), reply.invocation_id, sealed=call.sealed
            )
            for call, reply in zip(calls, replies, strict=True)
        ]

    # --- development mode ---

    def _run_inline(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BaseInvocation[P, R]:
        from pynenc.invocation.concurrent import ConcurrentInvocation

        return ConcurrentInvocation.run_now(self, self._binder.bind(args, kwargs))

    async def _arun_inline(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BaseInvocation[P, R]:
        from pynenc.invocation.concurrent import ConcurrentInvocation

        return await ConcurrentInvocation.arun_now(self, self._binder.bind(args, kwargs))


class TaskVariant(Task[P, R]):
    """A task with options or dependencies of its own for some calls."""

    def __init__(self, base: Task[P, R], options: TaskOptions) -> None:
        self.app = base.app
        self.func = base.func
        self.task_id = base.task_id
        self.is_async = base.is_async
        self.after_ids = base.after_ids
        self.after_policy = base.after_policy
        self.after_need = base.after_need
        self._binder = base._binder
        self._decorator_options = base._decorator_options
        self._options = options
        update_wrapper(self, base.func)


class DirectTask(Generic[P, T]):
    """A task whose call waits and returns the value.

    With `parallel_func` one call becomes several, whose results `aggregate_func` joins.
    """

    def __init__(
        self,
        task: Task[P, Any],
        parallel_func: Callable[..., Any] | None,
        aggregate_func: Callable[..., Any] | None,
    ) -> None:
        if (aggregate_func is None) != (parallel_func is None):
            raise InvalidTaskOptionsError(
                f"direct task {task.task_id}: parallel_func splits a call and aggregate_func joins the results; "
                "give both or none"
            )
        self.task = task
        self.parallel_func = parallel_func
        self.aggregate_func = aggregate_func
        update_wrapper(self, task.func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call somewhere else; return its value, or a coroutine of it around an `async def`."""
        from pynenc.core.parallel import acall_direct, call_direct

        perform: Callable[..., Any] = acall_direct if self.task.is_async else call_direct
        value: T = perform(self, args, kwargs)
        return value

    @property
    def task_id(self) -> str:
        return self.task.task_id

    @property
    def conf(self) -> TaskOptions:
        return self.task.conf

    def __repr__(self) -> str:
        return f"DirectTask({self.task.task_id})"


class TaskDecorator:
    """`app.task(**options)`: makes functions tasks with these options."""

    def __init__(self, app: Pynenc, options: Mapping[str, Any]) -> None:
        self._app = app
        self._options = options

    @overload
    def __call__(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, func: Callable[..., Any], /) -> Any:
        return self._app._register(func, self._options)


def _checked_need(need: int | str, known: int) -> int:
    """Return how many are needed, 0 for all."""
    if need == "all":
        return 0
    number = 1 if need == "any" else need
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= known:
        raise InvalidTaskOptionsError(
            f"need={need!r} of after() is 'all', 'any', or a number from 1 to the {known} invocations that are given"
        )
    return number


def _is_coroutine_function(func: Callable[..., Any]) -> bool:
    code = getattr(func, "__code__", None)
    if code is not None and not hasattr(func, "__wrapped__"):
        return bool(code.co_flags & 0x80)
    import inspect

    return inspect.iscoroutinefunction(inspect.unwrap(func))
