"""Limits changed while everything runs, and shares of a queue."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pynenc import Limit, Pynenc, Rate
from pynenc.composition import open_backend, stores_with_gates
from pynenc.core.live_limits import LiveLimit
from pynenc.errors import ConfigurationError, GatesUnsupported, InvalidGate
from pynenc.scheduling.fair import FairScheduler
from pynenc.scheduling.fifo import FifoScheduler
from tests.limits.conftest import Stage, ids


def test_a_limit_that_is_raised_lets_more_pass_at_once(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 1))
    def work() -> None: ...

    calls = [work() for _ in range(4)]
    stage.begin()
    app.set_limit("db", 3)

    assert stage.begin() == ids(*calls[1:3])
    assert app.limits() == [LiveLimit(name="db", at_once=3)]


def test_a_limit_of_zero_lets_nothing_pass_until_it_is_cleared(app: Pynenc, stage: Stage) -> None:
    @app.task(running_concurrency="task", running_limit=2, reroute_on_concurrency_control=True)
    def work() -> None: ...

    app.set_limit(work, 0)
    first = work()

    assert stage.begin() == []
    assert app.clear_limit(work) is True
    assert stage.begin() == ids(first)
    assert app.clear_limit(work) is False
    assert app.limits() == []


def test_a_lower_limit_lets_what_runs_go_on(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("db", 3))
    def work() -> None: ...

    calls = [work() for _ in range(5)]
    begun = stage.begin()
    app.set_limit("db", 1)
    stage.end(*begun[:2])

    assert stage.begin() == []
    stage.end(begun[2])
    assert stage.begin() == ids(calls[3])


def test_a_limit_can_be_set_for_one_key(app: Pynenc, stage: Stage) -> None:
    @app.task(limits=Limit("tenant", 1, by=("tenant", "region")))
    def work(tenant: str, region: int) -> None: ...

    first, second, other, waiting = work("a", 1), work("a", 1), work("b", 1), work("b", 1)
    app.set_limit("tenant", 2, key=("a", 1))

    assert stage.begin() == ids(first, second, other)
    assert waiting.status.value == "concurrency_controlled"
    (shown,) = app.limits()
    assert (shown.name, shown.at_once) == ("tenant", 2)
    assert shown.key is not None
    assert app.clear_limit("tenant", key=("a", 1)) is True


def test_a_rate_can_be_changed(app: Pynenc, stage: Stage) -> None:
    @app.task(rate_limit=Rate("1/h", name="stripe"))
    def work() -> None: ...

    calls = [work() for _ in range(3)]
    stage.begin()
    app.set_limit("stripe", "10/s burst 2")
    stage.advance(3600)

    assert stage.begin() == ids(*calls[1:])
    assert app.limits() == [LiveLimit(name="stripe", rate="10/s", burst=2)]


@pytest.mark.parametrize("value", ["often", "1/s, 2/s", 1.5, True, None])
def test_what_is_no_limit_is_refused(app: Pynenc, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        app.set_limit("db", value)


def test_a_negative_limit_is_refused(app: Pynenc) -> None:
    with pytest.raises(InvalidGate, match="from 0 to"):
        app.set_limit("db", -1)


# --- shares ---


@pytest.fixture
def fair(app: Pynenc) -> Pynenc:
    app.__dict__["scheduler"] = FairScheduler()
    return app


def shares(stage: Stage, of: dict[str, str], starts: int) -> Counter[str]:
    """Return how many of the next starts each tenant got."""
    found: Counter[str] = Counter()
    for _ in range(starts):
        (each,) = stage.begin(1)
        found[of[each]] += 1
        stage.end(each)
    return found


def test_the_scheduler_is_chosen_by_its_name() -> None:
    app = Pynenc("memory://", scheduler="fair")

    assert app.scheduler.shares("default")
    assert not FifoScheduler().shares("default")


def test_tenants_with_work_get_equal_shares_however_much_each_has_queued(fair: Pynenc, stage: Stage) -> None:
    @fair.task(share_key="tenant")
    def work(tenant: str) -> None: ...

    of = {work(tenant).invocation_id: tenant for tenant, many in (("big", 90), ("small", 15)) for _ in range(many)}

    assert shares(stage, of, 20) == {"big": 10, "small": 10}


def test_shares_follow_weights_and_weights_follow_those_set_by_hand(fair: Pynenc, stage: Stage) -> None:
    @fair.task(share_key="tenant")
    def work(tenant: str) -> None: ...

    heavy = work.options(share_weight=3)
    of = {heavy("paying").invocation_id: "paying" for _ in range(60)}
    of |= {work("free").invocation_id: "free" for _ in range(60)}

    assert shares(stage, of, 20) == {"paying": 15, "free": 5}
    fair.set_weight("free", 3)
    assert [(each.weight, each.at_once) for each in fair.limits()] == [(3, None)]
    assert shares(stage, of, 20)["free"] in (9, 10, 11)
    assert fair.clear_weight("free") is True


def test_a_task_without_a_key_shares_as_one_tenant(fair: Pynenc, stage: Stage) -> None:
    @fair.task
    def one() -> None: ...

    @fair.task
    def two() -> None: ...

    of = {one().invocation_id: "one" for _ in range(30)} | {two().invocation_id: "two" for _ in range(30)}

    assert shares(stage, of, 10) == {"one": 5, "two": 5}


def test_fairness_and_limits_hold_together(fair: Pynenc, stage: Stage) -> None:
    @fair.task(share_key="tenant", limits=Limit("tenant", 1, by="tenant"))
    def work(tenant: str) -> None: ...

    calls = [work(tenant) for tenant in ("a", "a", "b", "b")]

    assert sorted(stage.begin()) == sorted(ids(calls[0], calls[2]))


def test_under_another_scheduler_a_share_key_has_no_effect(app: Pynenc, stage: Stage) -> None:
    @app.task(share_key="tenant")
    def work(tenant: str) -> None: ...

    assert isinstance(app.scheduler, FifoScheduler)
    calls = [work("a"), work("a"), work("b")]

    assert stage.begin() == ids(*calls)


# --- stores without ---


def test_a_store_without_gates_refuses_by_name_and_names_those_that_have_them(tmp_path: Path) -> None:
    backend = open_backend(f"sqlite:///{tmp_path / 'x.db'}")
    backend.capabilities = structs.replace(backend.capabilities, gates=False)
    app = Pynenc("memory://")
    app.use_backend(backend)

    @app.task(rate_limit="1/s", limits=Limit("db", 1))
    def work() -> None: ...

    with pytest.raises(GatesUnsupported) as caught:
        work()
    with pytest.raises(GatesUnsupported):
        app.set_limit("db", 1)

    assert f"limits, rate_limit of {work.task_id}" in str(caught.value)
    assert "sqlite://" in str(caught.value)
    assert "memory" in stores_with_gates()
    assert f"({', '.join(stores_with_gates())})" in str(caught.value)
    assert app.orchestrator.count_invocations() == 0
    app.close()
