"""Tests of one's own tasks: the real engine on the memory store, a clock that obeys, and crashes on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pynenc.backends.memory import MemoryBackend
from pynenc.core.watches import Deliver
from pynenc.errors import InvocationNotFound, ResultTimeout
from pynenc.invocation.distributed import DistributedInvocation
from pynenc.io import Op, arun, run
from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import ListFilter
from pynenc.testing.clock import FakeClock
from pynenc.testing.crashing import CrashingOrchestrator, SimulatedCrash
from pynenc.testing.inline_runner import InlineRunner

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.task import Task


class Engine:
    """An app on a memory store with a fake clock, and a runner that runs when told to."""

    def __init__(self, app: Pynenc) -> None:
        self.app = app
        self.clock = FakeClock()
        self._reset()

    def _reset(self) -> None:
        self._backend = MemoryBackend(clock=self.clock)
        self.app.use_backend(self._backend)
        self.app.use_orchestrator(self._backend.orchestrator)
        self.app.__dict__["client"] = _InlineClient(self)
        self._runner = InlineRunner(self.app)

    def run_all(self, *, skip_time: bool = False, most: int = 100_000) -> None:
        """Run everything that can run, in this thread's time.

        Args:
            skip_time: also move the clock on to whatever is due next (delays, retries, expiry), until nothing is left.
            most: steps after which the tasks are taken to be endless.
        """
        for _ in range(most):
            due_us = self._runner.run_until_idle(most=most)
            if not skip_time or due_us is None or not self._unfinished():
                return
            self.clock.advance(timedelta(microseconds=max(1, due_us)))
        raise AssertionError(f"still something due after {most} jumps of the clock")

    def advance(self, duration: timedelta | float) -> None:
        """Move the clock on by a timedelta or seconds, then run what has become due."""
        self.clock.advance(duration)
        self.run_all()

    def _unfinished(self) -> bool:
        from pynenc.model.status import InvocationStatus

        live = tuple(status for status in InvocationStatus if not status.is_final())
        return run(self.app.backend.state_backend.count(statuses=live)) > 0

    def enqueued(self, task: Task[..., Any] | None = None, **arguments: Any) -> list[DistributedInvocation[..., Any]]:
        """Return the invocations of `task` (of any, if None), oldest first, whose arguments include `arguments`."""
        snapshots = run(
            self.app.backend.state_backend.listing(ListFilter(task_id=task.task_id if task else None, limit=1_000_000))
        )
        found = [
            DistributedInvocation(self.app.get_task(snapshot.call.task_id), snapshot.call.invocation_id)
            for snapshot in reversed(snapshots)
        ]
        return [invocation for invocation in found if _includes(invocation, arguments)]

    def assert_enqueued(
        self, task: Task[..., Any], *, times: int | None = None, **arguments: Any
    ) -> DistributedInvocation[..., Any]:
        """Fail unless `task` was called with (at least) these arguments; return the first such invocation.

        Args:
            times: exactly so many calls, at least 1; None: any number.
        """
        found = self.enqueued(task, **arguments)
        if found and times in (None, len(found)):
            return found[0]
        wanted = "at least one call" if times is None else f"{times} calls"
        others = [f"  {task.task_id}{other.arguments!r}" for other in self.enqueued(task)[:20]]
        raise AssertionError(
            f"expected {wanted} of {task.task_id} with {arguments or 'any arguments'}, found {len(found)}; "
            + ("it was called with:\n" + "\n".join(others) if others else "it was never called")
        )

    def assert_not_enqueued(self, task: Task[..., Any], **arguments: Any) -> None:
        """Fail if `task` was called with (at least) these arguments."""
        found = self.enqueued(task, **arguments)
        if found:
            raise AssertionError(f"expected no call, found {task.task_id}{found[0].arguments!r}")

    def crash(self) -> None:
        """Kill the runner as SIGKILL would, and let its lease end: what it held runs again."""
        self._runner.die()
        self._runner = InlineRunner(self.app)
        self._backend.end_leases()

    def crash_at_every_boundary(self, scenario: Callable[[], Any], *, most: int = 2_000) -> CrashReport:
        """Run a scenario once undisturbed, then once for each step it recorded, killed right after that step.

        A step is one operation by which the runner or a body changed the store. After each kill a new runner
        takes over once the lease has ended. The outcome must be what it was without a kill.

        Args:
            scenario: submits invocations and returns them: one, a group, or a list.
            most: refuse scenarios with more steps than this.

        Raises:
            AssertionError: the outcome after some kill differs; names the step and both outcomes.
        """
        expected, steps = self._play(scenario, crash_after=None)
        if steps > most:
            raise AssertionError(f"the scenario takes {steps} steps; raise `most` (now {most}) or make it smaller")
        for step in range(1, steps + 1):
            outcome, _ = self._play(scenario, crash_after=step)
            if outcome != expected:
                raise AssertionError(
                    f"killed after step {step} of {steps}, the scenario ended as\n  {outcome}\n"
                    f"but without a kill as\n  {expected}"
                )
        return CrashReport(steps=steps, outcome=expected)

    def _play(self, scenario: Callable[[], Any], *, crash_after: int | None) -> tuple[list[str], int]:
        self._reset()
        invocations = _as_list(scenario())
        inner = self.app.control
        crashing = CrashingOrchestrator(inner, crash_after=crash_after)
        self.app.use_orchestrator(crashing)
        self._runner = InlineRunner(self.app)
        try:
            self.run_all(skip_time=True)
        except SimulatedCrash:
            self._runner.die()
        self.app.use_orchestrator(inner)
        self._runner = InlineRunner(self.app)
        if crash_after is not None:
            self._backend.end_leases()
        self.run_all(skip_time=True)
        return [_ending(invocation) for invocation in invocations], crashing.steps

    def close(self) -> None:
        """Give the app its own store back."""
        self._runner.close()
        self.app.__dict__.pop("client", None)
        self.app.release_backend()


class CrashReport(Struct, frozen=True):
    """What `crash_at_every_boundary` did."""

    steps: int
    """Places at which the runner was killed, one run each."""
    outcome: list[str]


@contextmanager
def engine_for(app: Pynenc) -> Iterator[Engine]:
    """Put `app` on a fresh memory store with a fake clock for the length of a block."""
    engine = Engine(app)
    try:
        yield engine
    finally:
        engine.close()


class _InlineClient:
    """Stands in for the waiting side: asking for a result runs what can run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def subscribe(self, ids: Sequence[InvocationId], deliver: Deliver) -> Op[_NoSubscription]:
        self._engine.run_all()
        state = self._engine.app.backend.state_backend
        outcomes = yield from state.outcomes(ids)
        statuses = yield from state.statuses(ids)
        for invocation_id, outcome, status in zip(ids, outcomes, statuses, strict=True):
            if outcome is not None:
                deliver(outcome)
            elif status is None:
                raise InvocationNotFound(f"no invocation has the id {id_text(invocation_id)}")
            else:
                deliver(self._not_there(invocation_id))
        return _NoSubscription()

    async def asubscribe(self, ids: Sequence[InvocationId], deliver: Deliver) -> _NoSubscription:
        return await arun(self.subscribe(ids, deliver))

    def _not_there(self, invocation_id: InvocationId) -> ResultTimeout:
        from pynenc.core.why import explain

        why = run(explain(self._engine.app.backend, invocation_id))
        return ResultTimeout(
            f"{why} Nothing else can run: move the clock with advance(...) or run_all(skip_time=True).",
            invocation_id=id_text(invocation_id),
        )

    async def aclose(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing to give back."""


class _NoSubscription:
    def close(self) -> None:
        """Everything was delivered at once."""


def _includes(invocation: DistributedInvocation[..., Any], arguments: dict[str, Any]) -> bool:
    if not arguments:
        return True
    actual = invocation.arguments.kwargs
    return all(name in actual and actual[name] == value for name, value in arguments.items())


def _as_list(given: Any) -> list[DistributedInvocation[..., Any]]:
    if given is None:
        raise AssertionError("the scenario returned nothing: it has to return the invocations whose outcome counts")
    return [given] if isinstance(given, DistributedInvocation) else list(given)


def _ending(invocation: DistributedInvocation[..., Any]) -> str:
    status = invocation.status
    if not status.is_final():
        return f"{invocation.task.task_id} {status.value.upper()}: {invocation.why()}"
    try:
        return f"{invocation.task.task_id} {status.value.upper()}: {invocation.get()!r}"
    except Exception as error:  # noqa: BLE001 - the ending of user code, whatever it is
        return f"{invocation.task.task_id} {status.value.upper()}: {type(error).__name__}: {error}"
