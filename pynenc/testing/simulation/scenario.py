"""What a seed plays: who submits what, who runs it, what goes wrong."""

from __future__ import annotations

from random import Random
from typing import TypeAlias

from msgspec import Struct, structs

from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId
from pynenc.model.policies import RunPolicy, encode_policy
from pynenc.model.records import AfterPolicy, Dedupe, DedupePhase, Submission
from pynenc.testing.simulation.programs import Ending, Note, Program, Spawn, Step, Take, WaitFor

FAULTS = (
    "lost_request",
    "lost_reply",
    "repeated_request",
    "slow_message",
    "lost_ring",
    "kill",
    "freeze",
    "worker_crash",
    "drain",
    "outage",
    "clock_jump",
    "clock_rate",
)
"""Kinds of things that go wrong; a run may leave some out."""


_POOLS = ("default", "other")


class Submit(Struct, frozen=True):
    items: tuple[Submission, ...]


class CancelSome(Struct, frozen=True, kw_only=True):
    ids: tuple[InvocationId, ...]
    tree: bool


class PauseQueue(Struct, frozen=True, kw_only=True):
    queue: str
    for_us: int


class SetGate(Struct, frozen=True, kw_only=True):
    """Let a setting hold for a while."""

    setting: GateSetting
    for_us: int


Action: TypeAlias = Submit | CancelSome | PauseQueue | SetGate


class Timed(Struct, frozen=True):
    """An action, some time after the one before it."""

    after_us: int
    action: Action


class RunnerPlan(Struct, frozen=True, kw_only=True):
    slots: int
    queues: tuple[str, ...]
    by_force: bool
    prefetch: bool
    max_parked: int = 1_000_000
    """So many bodies may wait before the runner is at its bound."""


class Scenario(Struct, frozen=True, kw_only=True):
    """Everything about a run that is not chance on the way."""

    programs: tuple[Program, ...]
    clients: tuple[tuple[Timed, ...], ...]
    runners: tuple[RunnerPlan, ...]
    tickers: int
    lease_us: int
    faults: tuple[str, ...]
    """Kinds that happen at all in this run."""
    rate: float
    """Share of messages that meet with a fault."""
    tick_budget: int
    children_first: bool = False
    """Whether children rank before their parents, as the default scheduler has it, or behind all that is there."""
    inherits: bool = False
    """Whether what bodies wait for goes before them, as under the dependency-aware scheduler."""


def draw(seed: int, *, without: frozenset[str] = frozenset(), most_items: int | None = None) -> Scenario:
    """Return the scenario of a seed.

    Args:
        without: kinds of faults to leave out.
        most_items: leave out what clients do after so many actions.
    """
    rng = Random(f"scenario {seed}")
    writer = _Writer(rng)
    clients = tuple(writer.client() for _ in range(rng.choice((1, 1, 2))))
    if most_items is not None:
        clients = tuple(script[:most_items] for script in clients)
    calm = rng.random() < 0.15
    faults = tuple(kind for kind in FAULTS if rng.random() < 0.6)
    waiting = Random(f"waiting {seed}")
    pools = waiting.random() < 0.05
    if pools or waiting.random() < 0.2:
        crowd = Timed(waiting.randint(0, 5_000), _Writer(waiting, writer).crowd(pools=pools))
        clients = (*clients[:-1], (crowd, *clients[-1]))
    runners = tuple(_bounded(_runner(rng), waiting) for _ in range(rng.choice((1, 2, 2, 3))))
    if pools:
        runners = tuple(structs.replace(runners[0], queues=(queue,)) for queue in _POOLS)
    return Scenario(
        programs=tuple(writer.programs),
        clients=clients,
        runners=runners,
        tickers=rng.choice((0, 1)),
        lease_us=rng.choice((400_000, 1_000_000, 3_000_000)),
        faults=() if calm else tuple(kind for kind in faults if kind not in without),
        rate=rng.choice((0.01, 0.05, 0.15)),
        tick_budget=rng.choice((1, 2, 32, 32)),
        children_first=waiting.random() < 0.5,
        inherits=Random(f"inherits {seed}").random() < 0.5,
    )


def _bounded(plan: RunnerPlan, rng: Random) -> RunnerPlan:
    if rng.random() < 0.4:
        return plan
    return structs.replace(plan, max_parked=rng.choice((1, 1, 2, 4)))


def _runner(rng: Random) -> RunnerPlan:
    return RunnerPlan(
        slots=rng.choice((1, 1, 2, 3)),
        queues=rng.choice(((), (), ("default",), ("default", "other"))),
        by_force=rng.random() < 0.5,
        prefetch=rng.random() < 0.5,
    )


class _Writer:
    """Writes scripts and the programs they need.

    Args:
        after: another writer to go on from, with another source of chance.
    """

    def __init__(self, rng: Random, after: _Writer | None = None) -> None:
        self._rng = rng
        self.programs: list[Program] = [] if after is None else after.programs
        self._ids: list[InvocationId] = [] if after is None else after._ids
        self._count: int = 0 if after is None else after._count + 10
        self._current = self._id(0)

    def client(self) -> tuple[Timed, ...]:
        rng = self._rng
        script = [Timed(rng.randint(0, 2_000), self._submit())]
        for _ in range(rng.randint(1, 4)):
            roll = rng.random()
            action: Action
            if roll < 0.55:
                action = self._submit()
            elif roll < 0.9:
                chosen = tuple(rng.sample(self._ids, min(len(self._ids), rng.randint(1, 2))))
                action = CancelSome(ids=chosen, tree=rng.random() < 0.5)
            else:
                action = PauseQueue(queue=rng.choice(("default", "other")), for_us=rng.randint(1_000, 400_000))
            script.append(Timed(rng.choice((0, 3_000, 30_000, 300_000)), action))
        return tuple(script)

    def crowd(self, *, pools: bool) -> Submit:
        """Submit many parents at once, whose children and grandchildren are not always due at once.

        Args:
            pools: whether each generation is in another queue.
        """
        rng = self._rng
        self.programs.append(Program(steps=(Take(rng.choice((100, 2_000, 20_000))),)))
        program = len(self.programs) - 1
        for generation in range(2 if pools else rng.choice((1, 1, 2))):
            spawn = Spawn(
                programs=(program,) * rng.choice((1, 1, 2)),
                need=0,
                delay_us=rng.choice((0, 5_000, 60_000)),
                queue=_POOLS[generation % 2] if pools else "",
            )
            self.programs.append(Program(steps=(spawn,)))
            program = len(self.programs) - 1
        items = []
        for _ in range(rng.randint(8, 16)):
            items.append(Submission(invocation_id=self._new_id(), task_id="simulated", arguments=b"%d" % program))
        if rng.random() < 0.3:
            items += self._strangers([item.invocation_id for item in items])
        return Submit(tuple(items))

    def _strangers(self, ids: list[InvocationId]) -> list[Submission]:
        """Return invocations that wait for some of these, to be claimed before them."""
        items = []
        for _ in range(4):
            wait = WaitFor(ids=tuple(self._rng.sample(ids, 2)))
            self.programs.append(Program(steps=(wait,)))
            number = len(self.programs) - 1
            items.append(
                Submission(invocation_id=self._new_id(), task_id="simulated", arguments=b"%d" % number, band=1)
            )
        return items

    def _submit(self) -> Submit:
        items = []
        for _ in range(self._rng.choice((1, 2, 2, 3, 4))):
            items.append(self._item())
            self._ids.append(items[-1].invocation_id)
        return Submit(tuple(items))

    def _new_id(self) -> InvocationId:
        self._count += 1
        return self._id(self._count)

    def _id(self, number: int) -> InvocationId:
        return InvocationId(number.to_bytes(6, "big") + b"\x70\x00\x80\x00\x00\x00\x00\x00\x00\x00")

    def _item(self) -> Submission:
        rng = self._rng
        policy = RunPolicy()
        if rng.random() < 0.1:
            policy = RunPolicy(timeout_us=30_000, retry_on_timeout=rng.random() < 0.5, max_retries=1)
        invocation_id = self._new_id()
        self._current = invocation_id
        return Submission(
            invocation_id=invocation_id,
            task_id="simulated",
            arguments=b"%d" % self._program(2),
            queue="default" if rng.random() < 0.8 else "other",
            policy=encode_policy(policy),
            band=rng.choice((128, 128, 1)),
            delay_us=rng.choice((0, 0, 0, 0, 20_000, 700_000)),
            expires_us=rng.choice((None,) * 6 + (1_000, 300_000)),
            max_crashes=rng.choice((0, 1, 5, 5)),
            after=tuple(rng.sample(self._ids, min(len(self._ids), rng.choice((1, 1, 3)))))
            if rng.random() < 0.2
            else (),
            after_policy=rng.choice(tuple(AfterPolicy)),
            after_need=rng.choice((0, 0, 1, 2)),
            dedupe=self._dedupe() if rng.random() < 0.25 else None,
        )

    def _dedupe(self) -> Dedupe:
        return Dedupe(b"key %d" % self._rng.randint(0, 1), DedupePhase(self._rng.randint(0, 3)))

    def _program(self, depth: int) -> int:
        rng = self._rng
        steps: list[Step] = []
        for _ in range(rng.choice((1, 1, 2))):
            roll = rng.random()
            if roll < 0.25 and depth > 0:
                steps.append(Take(rng.choice((100, 20_000))))
                steps.append(self._spawn(depth))
            elif roll < 0.35:
                steps.append(self._wait())
            elif roll < 0.45:
                steps.append(Note(b"%d" % rng.randint(0, 9)))
            else:
                steps.append(Take(rng.choice((100, 2_000, 20_000, 20_000, 200_000))))
        program = Program(
            steps=tuple(steps),
            ending=rng.choice((Ending.RETURN,) * 6 + (Ending.RAISE, Ending.CANCEL)),
            failures=rng.choice((0, 0, 0, 0, 1, 2)),
            retry_delay_us=rng.choice((0, 10_000, 100_000)),
            obeys=rng.random() < 0.7,
        )
        self.programs.append(program)
        return len(self.programs) - 1

    def _spawn(self, depth: int) -> Spawn:
        rng = self._rng
        programs = tuple(self._program(depth - 1) for _ in range(rng.randint(1, 3)))
        need = rng.choice((0, 0, 1, len(programs), None))
        return Spawn(programs=programs, need=need, timeout_us=rng.choice((None, None, 50_000)))

    def _wait(self) -> WaitFor:
        rng = self._rng
        # The one that is being written may be an ancestor: a cycle. Those beyond it come later, or never.
        around = [self._current, self._id(self._count + rng.randint(1, 3))]
        candidates = [*self._ids, around[rng.random() < 0.3]]
        ids = tuple(rng.sample(candidates, min(len(candidates), rng.randint(1, 2))))
        return WaitFor(ids=ids, need=rng.choice((0, 1)), timeout_us=rng.choice((None, None, 30_000)))
