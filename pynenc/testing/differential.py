"""The same operations on several stores: equal replies, equal errors, equal state after each of them.

A trace is a list of `Command`s: a kind and a few small numbers, which `Player` turns into operations with whatever
ids, sessions and epochs exist by then. So any list of commands is a trace, and a shorter one is a simpler one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from pynenc.errors import PynencError
from pynenc.io import Op, run
from pynenc.model.gates import (
    BreakerGate,
    Flow,
    FlowSetting,
    Gate,
    GateMode,
    RateGate,
    RateSetting,
    SlotGate,
    SlotSetting,
)
from pynenc.model.ids import Epoch, InvocationId, SessionId
from pynenc.model.policies import RunPolicy, encode_policy
from pynenc.model.records import (
    NEWEST_FIRST,
    AfterPolicy,
    Cancelled,
    Claim,
    Completion,
    Crash,
    DeadFilter,
    DeadMark,
    Dedupe,
    DedupeMode,
    DedupePhase,
    Exchange,
    ExchangeReply,
    Failure,
    Fence,
    ListFilter,
    ProgressNote,
    Release,
    Retry,
    SessionInfo,
    SessionKind,
    Started,
    Submission,
    Success,
    Suspend,
    Verdict,
)
from pynenc.model.status import DEAD_STATUSES, InvocationStatus, Reason
from pynenc.ports.backend import Backend
from pynenc.testing.differences import PROLOGUE, code_of, first_difference

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

START_US = 1_700_000_000_000_000
_RANKS = (*((128 << 44) + place for place in range(6)), 129 << 44)
_SECOND_US = 1_000_000
_QUEUES = ("default", "other", "rust:default")
_WEIGHTS = {
    "exchange": 12,
    "submit": 7,
    "claim": 6,
    "settle": 9,
    "advance": 5,
    "open_session": 2,
    "cancel": 3,
    "tick": 3,
    "claim_ids": 2,
    "watch": 2,
    "close_session": 1,
    "list_owned": 1,
    "list_sessions": 1,
    "pause": 1,
    "resume": 1,
    "requeue": 2,
    "explain": 1,
    "queue_stats": 1,
    "verify": 1,
    "snapshots": 1,
    "outcomes": 1,
    "statuses": 1,
    "listing": 1,
    "dead": 2,
    "children": 1,
    "count": 1,
    "purge": 1,
}
_GATED_WEIGHTS = {
    "submit_gated": 8,
    "submit_limited": 6,
    "claim": 4,
    "settle": 5,
    "succeed": 6,
    "put_gate": 2,
    "clear_gate": 1,
    "list_gates": 1,
}
"""Beside the others, for stores that have gates."""


class Command(Struct, frozen=True):
    """One step of a trace: what to do, and numbers that choose with what."""

    kind: str
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0


class Difference(AssertionError):
    """Two stores answered differently; the text is a program that shows it."""

    trace: tuple[Command, ...] = ()


class TraceClock:
    """The time of all stores of a trace."""

    def __init__(self) -> None:
        self.now_us = START_US

    def __call__(self) -> int:
        return self.now_us


OpenStore = Callable[[TraceClock], Backend]
"""Opens an empty store that lives by this clock."""


def traces(*, shortest: int = 20, longest: int = 50, gated: bool = False) -> SearchStrategy[list[Command]]:
    """Return a Hypothesis strategy for traces.

    Args:
        gated: with limits, rates and shares; only for stores whose capabilities name gates.
    """
    from hypothesis import strategies

    weights = [*_WEIGHTS.items(), *(_GATED_WEIGHTS.items() if gated else ())]
    kinds = [kind for kind, weight in weights for _ in range(weight)]
    number = strategies.integers(0, 255)
    command = strategies.builds(Command, strategies.sampled_from(kinds), number, number, number, number)
    return strategies.lists(command, min_size=shortest, max_size=longest)


def compare(trace: Sequence[Command], reference: OpenStore, other: OpenStore) -> None:
    """Play `trace` on two stores, after two runners have opened their sessions.

    Raises:
        Difference: they disagree.
    """
    clock = TraceClock()
    backends = (reference(clock), other(clock))
    try:
        player = Player(backends, clock)
        for command in (*_OPENING, *trace):
            player.play(command)
    except Difference as difference:
        difference.trace = tuple(trace)
        raise
    finally:
        for backend in backends:
            backend.close()


def shortest(difference: Difference, reference: OpenStore, other: OpenStore) -> Difference:
    """Return the difference that is left when every command that can be spared is left out."""
    size = len(difference.trace) // 2
    while size:
        for start in range(0, len(difference.trace), size):
            trace = difference.trace[:start] + difference.trace[start + size :]
            try:
                compare(trace, reference, other)
            except Difference as smaller:
                difference = smaller
                break
        else:
            size //= 2
    return difference


_OPENING = (Command("open_session"), Command("open_session", 2, 1), Command("submit", 2))


class Player:
    """Turns commands into operations and compares what comes of them."""

    def __init__(self, backends: tuple[Backend, Backend], clock: TraceClock) -> None:
        self._backends = backends
        self._clock = clock
        self._ids: list[InvocationId] = []
        self._sessions: list[SessionId] = []
        self._infos: dict[SessionId, SessionInfo] = {}
        self._claims: list[tuple[InvocationId, SessionId, Epoch]] = []
        self._live: list[tuple[InvocationId, SessionId, Epoch]] = []
        """Claims that were not settled yet, as far as replies tell."""
        self._program: list[str] = []

    def play(self, command: Command) -> None:
        """Do what a command says."""
        name = "explain_one" if command.kind == "explain" else command.kind
        getattr(self, f"_{name}")(command)

    def replace(self, other: Backend) -> None:
        """Go on with another store in the place of the second one."""
        self._backends = (self._backends[0], other)

    # --- doing it on every store ---

    def _do(self, port: str, operation: str, *arguments: Any, **options: Any) -> Any:
        given = [code_of(argument) for argument in arguments]
        given += [f"{name}={code_of(value)}" for name, value in options.items()]
        self._program.append(f"perform({port!r}, {operation!r}, {', '.join(given)})")
        replies = [_attempt(backend, port, operation, arguments, options) for backend in self._backends]
        if replies[0] != replies[1]:
            raise Difference(self._explain(f"replies differ:\n  {replies[0]!r}\n  {replies[1]!r}"))
        states = [run(backend.dump()) for backend in self._backends]
        if states[0] != states[1]:
            raise Difference(self._explain(first_difference(states[0], states[1])))
        return replies[0]

    def _explain(self, difference: str) -> str:
        return "\n".join(["", *PROLOGUE, *self._program, "", difference])

    def _orchestrator(self, operation: str, *arguments: Any, **options: Any) -> Any:
        return self._do("orchestrator", operation, *arguments, **options)

    def _state(self, operation: str, *arguments: Any, **options: Any) -> Any:
        return self._do("state_backend", operation, *arguments, **options)

    # --- choosing ---

    def _id(self, number: int) -> InvocationId:
        """Choose a known id, the latest for 0; now and then one that nobody submitted."""
        if not self._ids or number % 16 == 15:
            return _new_id(9_000)
        return self._ids[-1 - number % len(self._ids)]

    def _some_ids(self, number: int, *, most: int = 3) -> tuple[InvocationId, ...]:
        return tuple(self._id(number // (step + 1) + step) for step in range(1 + number % most))

    def _session(self, number: int) -> SessionId:
        if not self._sessions or number % 32 == 31:
            return SessionId(900)
        return self._sessions[-1 - number % len(self._sessions)]

    def _claim_of(self, number: int) -> tuple[InvocationId, SessionId, Epoch]:
        """Choose a claim that was handed out, mostly one that was not settled; the latest for 0."""
        among = self._live if self._live and number % 4 != 3 else self._claims
        if not among:
            return self._id(number), self._session(number), Epoch(1)
        return among[-1 - number // 4 % min(len(among), 6)]

    # --- sessions and time ---

    def _advance(self, command: Command) -> None:
        by_us = (1, 400_000, _SECOND_US, 5 * _SECOND_US, 60 * _SECOND_US)[command.a % 5]
        self._program.append(f"clock.now_us += {by_us}")
        self._clock.now_us += by_us

    def _open_session(self, command: Command) -> None:
        info = SessionInfo(
            kind=SessionKind(command.a % 2),
            name=f"process {len(self._sessions)}",
            host="here",
            pid=command.b,
            queues=((), ("default",), ("other", "default"), ("rust:default",))[command.c % 4],
            slots=command.b % 4,
            doorbell="",
        )
        lease_us = (10 * _SECOND_US, _SECOND_US)[command.d % 2]
        opened = self._orchestrator("open_session", info, lease_us=lease_us)
        self._infos[opened] = info
        self._sessions.append(opened)

    def _close_session(self, command: Command) -> None:
        self._orchestrator("close_session", self._session(command.a))

    def _list_sessions(self, command: Command) -> None:
        self._orchestrator("list_sessions", live_only=command.a % 2 == 0)

    # --- submitting ---

    def _submit(self, command: Command) -> None:
        items = [self._item(command, number) for number in range(1 + command.a % 3)]
        replies = self._orchestrator("submit", items)
        if isinstance(replies, list):
            self._ids += [item.invocation_id for item in items if item.invocation_id not in self._ids]

    def _item(self, command: Command, number: int) -> Submission:
        a, b, c, d = (value // (number + 1) for value in (command.a, command.b, command.c, command.d))
        repeated = b % 16 == 14 and self._ids
        policy = encode_policy(RunPolicy(max_retries=2)) if d % 8 == 7 else b""
        return Submission(
            invocation_id=self._id(c) if repeated else _new_id(len(self._ids) + number),
            task_id=f"task {a % 2}",
            arguments=b"%d" % a,
            queue=_QUEUES[(0, 0, 0, 1, 2)[b % 5]],
            policy=policy,
            meta=b"meta" if d % 8 == 6 else b"",
            band=(128, 128, 128, 7, 200)[c % 5],
            key=(None, None, NEWEST_FIRST, 5, 1 << 43)[d % 5],
            delay_us=(0, 0, 0, _SECOND_US, 5 * _SECOND_US)[(a + c) % 5],
            start_at_us=self._clock.now_us + (d - 60) * 100_000 if d % 7 == 5 else None,
            expires_us=(None, None, None, _SECOND_US, 30 * _SECOND_US)[(b + d) % 5],
            retention_us=(None, None, 5 * _SECOND_US)[(c + d) % 3],
            max_crashes=(5, 0, 1)[d % 3],
            after=self._some_ids(a) if c % 4 == 3 else (),
            after_policy=AfterPolicy(d % 3),
            after_need=(0, 0, 1, 2)[b % 4],
            dedupe=Dedupe(b"key %d" % (b % 2), DedupePhase(a % 4)) if d % 4 == 3 else None,
            parent=self._fence(c) if a % 8 > 5 else None,
            parent_id=self._id(d) if a % 8 == 5 else None,
        )

    def _submit_gated(self, command: Command) -> None:
        items = [self._gated_item(command, number) for number in range(1 + command.a % 4)]
        replies = self._orchestrator("submit", items)
        if isinstance(replies, list):
            self._ids += [item.invocation_id for item in items if item.invocation_id not in self._ids]

    def _gated_item(self, command: Command, number: int) -> Submission:
        """Return a submission with a few of a few gates, mostly otherwise plain."""
        a, b, c, d = (value // (number + 1) for value in (command.a, command.b, command.c, command.d))
        item = self._item(Command("submit", a, b, c // 5 * 5, d // 4 * 4), number)
        return structs.replace(
            item,
            band=128,
            key=(None, None, None, 5)[a % 4],
            after=(),
            gates=tuple(gate for bit, gate in enumerate(self._some_gates(d)) if (c | 1 << d % 7) >> bit & 1),
            flow=(None, None, None, Flow("a"), Flow("b", 3))[b % 5],
            parent=self._fence(b) if a % 3 == 1 else None,
            parent_id=None,
            dedupe=self._gated_key(a, b, d) if d % 8 == 7 else None,
        )

    def _some_gates(self, number: int) -> tuple[Gate, ...]:
        mode = GateMode(number % 5 == 4)
        return (
            SlotGate(key="one", limit=1, mode=mode),
            SlotGate(key="two", limit=2, block_lane_on_retry=number % 2 == 1),
            SlotGate(key="held", limit=1, hold_while_waiting=number % 4 != 3),
            RateGate(key="one", interval_us=_SECOND_US, burst=1 + number % 2, mode=mode),
            BreakerGate(key="task", failures=1 + number % 2, open_for_us=_SECOND_US),
            SlotGate(key="ordered", limit=1, block_lane_on_retry=True),
            RateGate(key="fast", interval_us=1_000, burst=3),
        )

    def _submit_limited(self, command: Command) -> None:
        """Submit a few that differ in their only limit: what most that is gated is."""
        gates = (*self._some_gates(command.d)[:3], *(SlotGate(key=f"key {number}", limit=1) for number in range(3)))
        items = [
            Submission(
                invocation_id=_new_id(len(self._ids) + number),
                task_id="task 0",
                arguments=b"%d" % number,
                band=(128, 128, 128, 127)[command.a % 4],
                retention_us=(None, None, _SECOND_US)[command.b % 3],
                gates=(gates[(command.c + number * (command.d % 3)) % len(gates)],),
            )
            for number in range(1 + command.b % 5)
        ]
        self._orchestrator("submit", items)
        self._ids += [item.invocation_id for item in items]

    def _gated_key(self, a: int, b: int, d: int) -> Dedupe:
        mode = DedupeMode(a % 3)
        phase = (DedupePhase.UNTIL_CLAIMED, DedupePhase.FOR_A_WHILE, DedupePhase.UNTIL_FINAL)[d % 3]
        return Dedupe(b"gated %d" % (b % 2), phase, mode, b"hash %d" % (a % 2), _SECOND_US)

    def _put_gate(self, command: Command) -> None:
        limit = (0, 1, 2, 3)[command.b % 4]
        settings = (
            SlotSetting("one", limit),
            SlotSetting("two", limit),
            SlotSetting("held", limit),
            RateSetting("one", (1, 3)[command.c % 2] * _SECOND_US, 1 + limit),
            FlowSetting("a", 1 + limit),
        )
        self._orchestrator("put_gate", settings[command.a % len(settings)])

    def _clear_gate(self, command: Command) -> None:
        names = ("slots:one", "slots:two", "slots:held", "rate:one", "flow:a", "slots:unknown")
        self._orchestrator("clear_gate", names[command.a % len(names)])

    def _list_gates(self, command: Command) -> None:
        self._orchestrator("list_gates")

    def _fence(self, number: int) -> Fence:
        invocation_id, session, epoch = self._claim_of(number)
        # Now and then the right owner with an epoch that is not its own.
        return Fence(session, invocation_id, Epoch(epoch + (number % 5 == 2)))

    # --- running ---

    def _exchange(self, command: Command) -> None:
        invocation_id, session, epoch = self._claim_of(command.c)
        if command.a % 2 == 0 or not self._claims:
            session = self._session(command.a // 2)
        completions = tuple(self._completion(command, number) for number in range(command.b % 3))
        self._perform_exchange(
            Exchange(
                session=session,
                completions=completions,
                started=(Started(invocation_id, epoch, 3, command.d * 1_000),) if command.d % 3 == 0 else (),
                progress=(ProgressNote(invocation_id, epoch, b"%d" % command.d),) if command.d % 3 == 1 else (),
                want=(0, 1, 2, 10)[command.a % 4],
                queues=((), (), ("default",), ("other", "default"), ("rust:default",))[command.c % 5],
                claim_new=command.b % 7 != 6,
                before=_RANKS[command.d % 7] if command.c % 3 == 2 else None,
                awaited=command.d % 5 == 4,
                idle=command.c % 2 == 0,
                tick_budget=(32, 0, 1, 2)[command.d % 4],
                info=self._changed_info(session, command.d) if command.b % 4 == 3 else None,
            )
        )

    def _changed_info(self, session: SessionId, number: int) -> SessionInfo | None:
        info = self._infos.get(session)
        return None if info is None else structs.replace(info, slots=number % 4)

    def _claim(self, command: Command) -> None:
        """Claim and report as started: what most exchanges are."""
        session = self._session(command.a)
        started = tuple(
            Started(invocation_id, epoch, 1, 0) for invocation_id, owner, epoch in self._claims[-2:] if owner == session
        )
        want, idle = 1 + command.b % 4, command.c % 2 == 1
        self._perform_exchange(Exchange(session=session, started=started, want=want, idle=idle))

    def _settle(self, command: Command) -> None:
        """Complete something in the name of its owner."""
        _, session, _ = self._claim_of(command.c)
        self._perform_exchange(Exchange(session=session, completions=(self._completion(command, 0),), tick_budget=0))

    def _succeed(self, command: Command) -> None:
        """Complete what one session has, and claim more."""
        _, session, _ = self._claim_of(command.c)
        live = [(each, epoch) for each, owner, epoch in self._live if owner == session][: 1 + command.b % 5]
        completions = tuple(Success(invocation_id=each, epoch=epoch, result=b"done") for each, epoch in live)
        want, idle = (0, 2, 5)[command.a % 3], command.d % 2 == 1
        self._perform_exchange(Exchange(session=session, completions=completions, want=want, idle=idle))

    def _perform_exchange(self, request: Exchange) -> None:
        if not isinstance(reply := self._orchestrator("exchange", request), ExchangeReply):
            return
        for completion, answer in zip(request.completions, reply.verdicts, strict=True):
            if answer.verdict in (Verdict.ACCEPTED, Verdict.STALE) and not isinstance(completion, Suspend):
                settled = (completion.invocation_id, completion.epoch)
                self._live = [claim for claim in self._live if (claim[0], claim[2]) != settled]
        for claim in reply.claims:
            self._claimed(claim)

    def _claimed(self, claim: Claim) -> None:
        self._claims.append((claim.invocation_id, claim.session, claim.epoch))
        self._live.append(self._claims[-1])

    def _completion(self, command: Command, number: int) -> Completion:
        invocation_id, _, epoch = self._claim_of(command.c + number)
        if command.a % 16 == 15:
            epoch = Epoch(epoch + (1, -1)[command.b % 2])
        d = command.d + number
        common: dict[str, Any] = {"invocation_id": invocation_id, "epoch": epoch}
        delay_us = (0, 0, _SECOND_US)[command.a % 3]
        ran: dict[str, Any] = {"ran_us": (0, 7_000, 90 * _SECOND_US)[command.b % 3], "worker": command.a % 3}
        kind = d % 10
        if kind in (0, 1):
            return Success(**common, result=b"result %d" % d, **ran)
        if kind == 2:
            return Failure(**common, error=b"error", reason=("", "why")[command.a % 2], **ran)
        if kind == 3:
            reason = (Reason.RETRY, Reason.TIMED_OUT)[command.b % 2]
            return Retry(**common, error=b"again", delay_us=delay_us, reason=reason, **ran)
        if kind == 4:
            return Release(**common, delay_us=delay_us, detail="back", **ran)
        if kind == 5:
            return Crash(**common, detail="killed", **ran)
        if kind == 6:
            return Cancelled(**common, detail="of its own", **ran)
        timeout_us = (None, None, _SECOND_US)[command.a % 3]
        waits = self._some_ids(command.b, most=4)
        return Suspend(
            **common,
            waits=waits,
            need=(0, 1, 2)[command.c % 3],
            timeout_us=timeout_us,
            inherit=command.d % 4 != 3,
            **ran,
        )

    def _claim_ids(self, command: Command) -> None:
        limits = {"queues": ((), (), _QUEUES[:1], _QUEUES[1:])[command.c % 4], "most": (None, 1, 2)[command.d % 3]}
        replies = self._orchestrator("claim_ids", self._session(command.a), self._some_ids(command.b), **limits)
        for reply in replies if isinstance(replies, list) else ():
            if reply.claim is not None:
                self._claimed(reply.claim)

    def _list_owned(self, command: Command) -> None:
        self._orchestrator("list_owned", self._session(command.a))

    # --- waiting and steering ---

    def _watch(self, command: Command) -> None:
        self._orchestrator("watch", self._session(command.a), self._some_ids(command.b))

    def _cancel(self, command: Command) -> None:
        ids = self._some_ids(command.a)
        self._orchestrator("cancel", ids, tree=command.b % 2 == 1, detail=("", "enough")[command.c % 2])

    def _pause(self, command: Command) -> None:
        by, reason = ("", "anna@ops")[command.b % 2], ("", "löschen")[command.c % 2]
        self._orchestrator("pause", (*_QUEUES, "new")[command.a % 4], by=by, reason=reason)

    def _resume(self, command: Command) -> None:
        self._orchestrator("resume", (*_QUEUES, "new")[command.a % 4])

    def _requeue(self, command: Command) -> None:
        self._orchestrator("requeue", self._some_ids(command.a))

    def _tick(self, command: Command) -> None:
        self._orchestrator("tick", budget=(64, 1, 2, 0)[command.a % 4])

    # --- looking ---

    def _explain_one(self, command: Command) -> None:
        self._orchestrator("explain", self._id(command.a))

    def _queue_stats(self, command: Command) -> None:
        self._orchestrator("queue_stats")

    def _verify(self, command: Command) -> None:
        self._orchestrator("verify", repair=command.a % 2 == 1)

    def _snapshots(self, command: Command) -> None:
        self._state("snapshots", self._some_ids(command.a))

    def _outcomes(self, command: Command) -> None:
        self._state("outcomes", self._some_ids(command.a))

    def _statuses(self, command: Command) -> None:
        self._state("statuses", self._some_ids(command.a))

    def _listing(self, command: Command) -> None:
        wanted = ListFilter(
            statuses=self._some_statuses(command.a),
            task_id=(None, None, "task 1")[command.b % 3],
            queue=(None, None, "default")[command.c % 3],
            parent_id=self._id(command.d) if command.d % 4 == 3 else None,
            before=self._id(command.b) if command.d % 4 == 2 else None,
            limit=(50, 2)[command.a % 2],
        )
        self._state("listing", wanted)

    def _some_statuses(self, number: int) -> tuple[InvocationStatus, ...]:
        every = tuple(InvocationStatus)
        return ((), (every[number % len(every)],), every[::2])[number % 3]

    def _dead(self, command: Command) -> None:
        known = self._ids and command.d % 3 == 2
        wanted = DeadFilter(
            statuses=(DEAD_STATUSES, (InvocationStatus.FAILED,))[command.a % 2],
            task_id=(None, None, "task 1")[command.b % 3],
            queue=(None, "default", "other", "none")[command.c % 4],
            ended_since_us=START_US + command.b * 100_000 if command.b % 5 == 4 else None,
            ended_before_us=START_US + command.c * _SECOND_US if command.c % 5 == 4 else None,
            before=DeadMark(self._clock.now_us - command.a * 10_000, self._id(command.d)) if known else None,
            budget=(500, 1, 2)[command.d % 3],
        )
        self._state("dead", wanted)

    def _children(self, command: Command) -> None:
        self._state("children", self._id(command.a))

    def _count(self, command: Command) -> None:
        task_id = (None, "task 0")[command.b % 2]
        self._state("count", task_id=task_id, statuses=self._some_statuses(command.a))

    def _purge(self, command: Command) -> None:
        if command.a % 8 == 7:
            self._state("purge")
        else:
            self._state("purge", self._some_ids(command.b))


def _new_id(number: int) -> InvocationId:
    # Not in the order of creation, so that ties by id differ from ties by age.
    return InvocationId(bytes([number * 37 % 256, number // 256]) + number.to_bytes(14, "big"))


def _attempt(backend: Backend, port: str, operation: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    op: Op[Any] = getattr(getattr(backend, port), operation)(*arguments, **options)
    try:
        return run(op)
    except PynencError as error:
        return type(error)
