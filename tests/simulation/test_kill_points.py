"""A small scenario, with each process killed at each of its requests: just before, and just after it was applied."""

from __future__ import annotations

import pytest

from pynenc.model.ids import InvocationId
from pynenc.model.records import Dedupe, DedupePhase, Submission
from pynenc.testing.simulation.explore import examine
from pynenc.testing.simulation.faults import CrashPoint
from pynenc.testing.simulation.programs import Ending, Program, Spawn, Take
from pynenc.testing.simulation.scenario import CancelSome, RunnerPlan, Scenario, Submit, Timed


def _item(number: int, program: int, **options: object) -> Submission:
    known: dict[str, object] = {"task_id": "simulated", "arguments": b"%d" % program, **options}
    return Submission(invocation_id=_id(number), **known)  # type: ignore[arg-type]  # fields by name


def _id(number: int) -> InvocationId:
    return InvocationId(number.to_bytes(6, "big") + b"\x70\x00\x80\x00\x00\x00\x00\x00\x00\x00")


_RUNNER = RunnerPlan(slots=1, queues=(), by_force=False, prefetch=False)
_SCENARIO = Scenario(
    programs=(
        Program(steps=(Take(2_000), Spawn(programs=(1, 1), need=0), Take(1_000))),
        Program(steps=(Take(5_000),), failures=1, retry_delay_us=3_000),
        Program(steps=(Take(60_000),)),
        Program(steps=(Take(500),), ending=Ending.RAISE),
    ),
    clients=(
        (
            Timed(0, Submit((_item(1, 0), _item(2, 2), _item(3, 3, after=(_id(1),), delay_us=4_000)))),
            Timed(20_000, CancelSome(ids=(_id(2),), tree=True)),
            Timed(0, Submit((_item(4, 1, dedupe=Dedupe(b"key", DedupePhase.UNTIL_FINAL)),))),
        ),
    ),
    runners=(_RUNNER, _RUNNER),
    tickers=0,
    lease_us=200_000,
    faults=(),
    rate=0.0,
    tick_budget=32,
)


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("process", ["runner-0", "runner-1", "client-0"])
def test_a_kill_at_any_request_loses_nothing(process: str, applied: bool) -> None:
    undisturbed = examine(1, scenario=_SCENARIO)
    requests = undisturbed.played.requests[process]

    assert requests > 1
    for request in range(1, requests + 1):
        run = examine(1, scenario=_SCENARIO, crash=CrashPoint(process, request, applied))

        assert not run.findings, (request, [str(finding) for finding in run.findings])
