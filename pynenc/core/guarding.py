"""What stands before the calls of a task: gates, a share and a deduplication, made from its options.

Keys are computed here, by whoever submits; what they lead to is decided inside the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from pynenc.conf.config_task import ConcurrencyControlType
from pynenc.config.nearest import did_you_mean
from pynenc.config.task_options import TaskOptions
from pynenc.core.keys import KeyedCall, digest, part_of, values_of
from pynenc.core.submitting import Guarded
from pynenc.errors import GatesUnsupported, InvalidTaskOptionsError
from pynenc.limits import ORDER_SUFFIX, By, Order, Rate, interval_us
from pynenc.model.gates import MOST_GATES, BreakerGate, Flow, Gate, GateMode, RateGate, SlotGate
from pynenc.model.records import Dedupe, DedupeMode, DedupePhase

if TYPE_CHECKING:
    from pynenc.task import Task

PartsOf: TypeAlias = Callable[[KeyedCall], list[bytes]]

_DISABLED = ConcurrencyControlType.DISABLED
_ARGUMENTS = ConcurrencyControlType.ARGUMENTS
_KEYS = ConcurrencyControlType.KEYS


class GuardedGate(Struct, frozen=True):
    """A gate of a task: always the same one, or one for each key."""

    gate: Gate
    parts: PartsOf | None

    def of(self, call: KeyedCall) -> Gate:
        """Return the gate before which a call stands."""
        return self.gate if self.parts is None else replace(self.gate, key=keyed(self.gate.key, self.parts(call)))


def guard_of(task: Task[..., Any]) -> Guard | None:
    """Return what the options in force put before the calls of a task; None for nothing.

    Raises:
        InvalidTaskOptionsError: the options do not go together.
        GatesUnsupported: the store of the app cannot keep them.
    """
    options = task.options_in_force
    shares = task.app.scheduler.shares(options.queue)
    if not shares and not is_guarded(options):
        return None
    guard = Guard(task.task_id, options, task.parameter_names, shares=shares)
    if _KEYS in (options.running_concurrency, options.registration_concurrency) and not options.key_arguments:
        raise InvalidTaskOptionsError(
            f"{task.task_id}: concurrency by keys needs key_arguments, the names of the arguments that make up the key"
        )
    backend = task.app.backend
    needs = guard.needs_gates
    if needs and not backend.capabilities.gates:
        from pynenc.composition import stores_with_gates

        raise GatesUnsupported(f"{needs} of {task.task_id}", store=backend.url, having=stores_with_gates())
    return guard


def is_guarded(options: TaskOptions) -> bool:
    """Whether options put something before the calls of a task."""
    return (
        options.running_concurrency is not _DISABLED
        or options.registration_concurrency is not _DISABLED
        or options.unique_until != "claimed"
        or bool(options.limits or options.rate_limit or options.unique_for or options.debounce)
        or not (options.circuit_breaker is None and options.ordering_key is None and options.share_key is None)
    )


class Guard:
    """What the options of a task put before its calls.

    Args:
        parameters: names of those of the function, for the keys.
        shares: whether its calls take part in sharing their queue.

    Raises:
        InvalidTaskOptionsError: the options do not go together, or a key names what is no argument.
    """

    def __init__(
        self, task_id: str, options: TaskOptions, parameters: Callable[[], Iterable[str]], *, shares: bool = False
    ) -> None:
        self._task_id = task_id
        self._options = options
        self._parameters = parameters
        self._shares = shares
        self._gates = tuple(self._all_gates())
        self._share = None if options.share_key is None else self._by("share_key", options.share_key)
        self._same = self._same_calls()
        self._check()

    @property
    def needs_gates(self) -> str:
        """Name the options that only a store with gates can keep; "" for none."""
        options = self._options
        names = (
            ("the scheduler fair", self._shares),
            ("running_concurrency", options.running_concurrency is not _DISABLED),
            ("limits", bool(options.limits)),
            ("rate_limit", bool(options.rate_limit)),
            ("circuit_breaker", options.circuit_breaker is not None),
            ("ordering_key", options.ordering_key is not None),
            ("unique_for", options.unique_for is not None),
            ("debounce", options.debounce is not None),
            ("on_diff_non_key_args_raise", self._same is not None and options.on_diff_non_key_args_raise),
        )
        return ", ".join(name for name, is_set in names if is_set)

    def before(self, call: KeyedCall) -> Guarded:
        """Return what stands before a call."""
        return Guarded(self._dedupe(call), tuple(each.of(call) for each in self._gates), self._flow(call))

    def _flow(self, call: KeyedCall) -> Flow | None:
        """Return whose share of its queue a call takes."""
        if not self._shares:
            return None
        key = self._task_id if self._share is None else digest(self._share(call)).hex()
        return Flow(key, self._options.share_weight)

    def _dedupe(self, call: KeyedCall) -> Dedupe | None:
        """Return under which key only one of the calls is created."""
        if self._same is None:
            return None
        options = self._options
        key = digest((b"registration", self._task_id.encode(), *self._same(call)))
        if options.debounce is not None:
            return Dedupe(key, DedupePhase.UNTIL_CLAIMED, DedupeMode.DEBOUNCE)
        phase, window_us = DedupePhase.UNTIL_CLAIMED, 0
        if options.unique_for is not None:
            phase, window_us = DedupePhase.FOR_A_WHILE, round(options.unique_for * 1_000_000)
        elif options.unique_until == "finished":
            phase = DedupePhase.UNTIL_FINAL
        if not options.on_diff_non_key_args_raise:
            return Dedupe(key, phase, window_us=window_us)
        return Dedupe(key, phase, DedupeMode.RAISE, digest(call.all_parts()), window_us)

    # --- gates ---

    def _all_gates(self) -> Iterator[GuardedGate]:
        yield from self._running()
        yield from self._limits()
        yield from self._rates()
        yield from self._breakers()
        yield from self._orders()

    def _running(self) -> Iterator[GuardedGate]:
        options = self._options
        if options.running_concurrency is not _DISABLED:
            gate = SlotGate(
                key=self._task_id,
                limit=options.running_limit,
                mode=_mode(drop=not options.reroute_on_concurrency_control),
                hold_while_waiting=options.hold_while_waiting,
            )
            yield GuardedGate(gate, self._parts_in(options.running_concurrency))

    def _limits(self) -> Iterator[GuardedGate]:
        for limit in self._options.limits:
            gate = SlotGate(
                key=limit.name,
                limit=limit.at_once,
                mode=_mode(limit.drop),
                hold_while_waiting=limit.hold_while_waiting,
            )
            yield GuardedGate(gate, self._by(f"by= of {limit.name!r} in limits", limit.by))

    def _rates(self) -> Iterator[GuardedGate]:
        for place, rate in enumerate(self._options.rate_limit, 1):
            gate = RateGate(
                key=self._rate_name(rate, place),
                interval_us=interval_us(rate.rate),
                burst=rate.burst,
                mode=_mode(rate.drop),
            )
            yield GuardedGate(gate, self._by("by= in rate_limit", rate.by))

    def _rate_name(self, rate: Rate, place: int) -> str:
        if rate.name is not None:
            return rate.name
        return self._task_id if place == 1 else f"{self._task_id}:{place}"

    def _breakers(self) -> Iterator[GuardedGate]:
        breaker = self._options.circuit_breaker
        if breaker is not None:
            open_for_us = round(float(breaker.open_for) * 1_000_000)  # type: ignore[arg-type]  # the option keeps seconds
            gate = BreakerGate(
                key=breaker.name or self._task_id,
                failures=breaker.failures,
                open_for_us=open_for_us,
                mode=_mode(breaker.drop),
            )
            yield GuardedGate(gate, None)

    def _orders(self) -> Iterator[GuardedGate]:
        key = self._options.ordering_key
        if key is None:
            return
        order = key if isinstance(key, Order) else Order(self._task_id, key)
        gate = SlotGate(key=order.name + ORDER_SUFFIX, limit=1, hold_while_waiting=True, block_lane_on_retry=True)
        yield GuardedGate(gate, self._by("ordering_key", order.by))

    # --- keys ---

    def _same_calls(self) -> PartsOf | None:
        """Return what tells registrations apart; None: every call is one of its own."""
        options = self._options
        mode = options.registration_concurrency
        refined = options.debounce is not None or options.unique_for is not None or options.unique_until != "claimed"
        if mode is _DISABLED and refined:
            mode = _KEYS if options.key_arguments else _ARGUMENTS
        return None if mode is _DISABLED else self._parts_in(mode) or _nothing

    def _parts_in(self, mode: ConcurrencyControlType) -> PartsOf | None:
        if mode is _KEYS:
            return self._by("key_arguments", self._options.key_arguments)
        return KeyedCall.all_parts if mode is _ARGUMENTS else None

    def _by(self, where: str, by: By) -> PartsOf | None:
        if callable(by):
            return lambda call: [part_of(value) for value in values_of(call.ask(by))]
        names = (by,) if isinstance(by, str) else by
        known = tuple(self._parameters()) if names else ()
        for name in names:
            if name not in known:
                has = ", ".join(known) if known else "none"
                raise InvalidTaskOptionsError(
                    f"{where}: {name!r} is no argument of {self._task_id}; it has {has}{did_you_mean(name, known)}"
                )
        return (lambda call: call.parts(names)) if names else None

    # --- what does not go together ---

    def _check(self) -> None:
        options = self._options
        ways = [
            name
            for name, is_set in (
                ("idempotency_key", options.idempotency_key is not None),
                ("call_result_cache", options.call_result_cache),
                ("registration_concurrency, unique_until, unique_for or debounce", self._same is not None),
            )
            if is_set
        ]
        if len(ways) > 1:
            raise self._wrong(f"a call has one key under which it is created once: choose one of {' and '.join(ways)}")
        if options.debounce is not None and (options.on_diff_non_key_args_raise or options.unique_for is not None):
            raise self._wrong(
                "debounce takes the arguments of the last call: leave on_diff_non_key_args_raise and unique_for out"
            )
        if options.debounce is not None and options.start_at is not None:
            raise self._wrong("debounce says when a call begins, and start_at does too: choose one")
        if options.unique_for is not None and options.unique_until != "claimed":
            raise self._wrong("unique_for and unique_until both say for how long: choose one")
        names = [each.gate.name for each in self._gates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise self._wrong(f"two limits have the same name ({', '.join(twice)}): give one of them another")
        if len(names) > MOST_GATES:
            raise self._wrong(f"{len(names)} limits stand before one call; there may be {MOST_GATES}")

    def _wrong(self, text: str) -> InvalidTaskOptionsError:
        return InvalidTaskOptionsError(f"{self._task_id}: {text}")


def keyed(name: str, parts: Iterable[bytes]) -> str:
    """Return the key of the gate of a name for one key."""
    return f"{name}#{digest(parts).hex()}"


def _nothing(_: KeyedCall) -> list[bytes]:
    return []


def _mode(drop: bool) -> GateMode:
    return GateMode.REJECT if drop else GateMode.PARK
