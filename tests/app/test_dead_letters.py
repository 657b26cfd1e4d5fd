"""What failed for good: looked at, run again, changed, forgotten, by the app's owner."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.core.cancelling import cancel_matching
from pynenc.errors import InvocationNotFound, InvocationStatusError
from pynenc.invocation import InvocationStatus
from pynenc.io import run
from pynenc.model.ids import parse_id
from pynenc.model.records import SessionInfo, SessionKind
from pynenc.ports.backend import Backend
from pynenc.task import Task

broken = {"down": True}


@pytest.fixture
def charge(app: Pynenc) -> Task[[str, int], str]:
    broken["down"] = True

    @app.task(max_retries=1, retry_for=(ConnectionError,), retry_jitter="none")
    def charge(customer: str, amount: int = 1) -> str:
        if amount < 0:
            raise ValueError(f"{customer} cannot pay {amount}")
        if broken["down"]:
            raise ConnectionError("the bank is down")
        return f"{customer} paid {amount}"

    return charge


def ran(app: Pynenc, *invocations: Any) -> None:
    with app.running():
        for each in invocations:
            assert each.wait(30)


def test_what_failed_is_listed_with_reason_and_attempts(app: Pynenc, charge: Task[[str, int], str]) -> None:
    mine = charge.options(queue="money")("ann", 5)
    fine = charge("bob", -1)
    ran(app, mine, fine)

    letters = {each.invocation_id: each for each in app.dead_letters}

    assert letters.keys() == {mine.invocation_id, fine.invocation_id}
    letter = letters[mine.invocation_id]
    assert (letter.task_id, letter.queue, letter.status) == (charge.task_id, "money", InvocationStatus.FAILED)
    assert (letter.reason, letter.attempts, letter.crashes) == ("ConnectionError: the bank is down", 2, 0)
    assert letters[fine.invocation_id].attempts == 1
    assert app.dead_letters.get(mine.invocation_id) == letter


def test_filters_choose_among_them(app: Pynenc, charge: Task[[str, int], str]) -> None:
    ran(app, charge.options(queue="money")("ann", 5), charge("bob", -1))

    def chosen(**filters: Any) -> list[str]:
        return [each.reason for each in app.dead_letters(**filters)]

    assert chosen(queue="money") == chosen(reason="BANK is down") == ["ConnectionError: the bank is down"]
    assert chosen(reason="cannot pay", task_id=charge.task_id) == ["ValueError: bob cannot pay -1"]
    assert chosen(task_id="no.such") == chosen(older_than=timedelta(hours=1)) == []
    assert len(chosen(newer_than=3_600)) == 2
    assert chosen(statuses=("expired",)) == []
    with pytest.raises(ValueError, match="SUCCESS"):
        chosen(statuses=("success",))


def test_what_is_requeued_runs_again_and_is_no_dead_letter_any_more(app: Pynenc, charge: Task[[str, int], str]) -> None:
    mine, hopeless = charge("ann", 5), charge("bob", -1)
    ran(app, mine, hopeless)
    broken["down"] = False

    assert app.dead_letters(reason="bank").requeue() == 1
    ran(app, app.get_invocation(mine.invocation_id))

    assert app.get_invocation(mine.invocation_id).result == "ann paid 5"
    assert [each.invocation_id for each in app.dead_letters] == [hopeless.invocation_id]
    assert app.dead_letters.discard() == 1
    assert app.dead_letters.count() == 0
    with pytest.raises(InvocationNotFound):
        app.get_invocation(hopeless.invocation_id)


def test_one_can_run_again_with_other_arguments(app: Pynenc, charge: Task[[str, int], str]) -> None:
    broken["down"] = False
    old = charge.options(queue="money")("bob", -1)
    ran(app, old)

    again = app.dead_letters.resubmit(old.invocation_id, amount=7)
    ran(app, again)

    assert again.result == "bob paid 7"
    call = again.snapshot().call
    assert (call.queue, call.parent_id) == ("money", parse_id(old.invocation_id))
    assert app.dead_letters.count() == 0


def test_repeating_a_change_submits_nothing_more_and_the_old_one_can_be_kept(
    app: Pynenc, charge: Task[[str, int], str]
) -> None:
    old = charge("bob", -1)
    ran(app, old)
    letter = app.dead_letters.get(old.invocation_id)

    ids = {app.dead_letters.resubmit(letter, keep_old=True, amount=amount).invocation_id for amount in (7, 7, 8)}

    assert len(ids) == 2
    assert app.dead_letters.get(old.invocation_id) == letter


def test_an_argument_that_the_task_does_not_have_is_refused_and_nothing_happens(
    app: Pynenc, charge: Task[[str, int], str]
) -> None:
    old = charge("bob", -1)
    ran(app, old)

    with pytest.raises(TypeError, match="amuont"):
        app.dead_letters.resubmit(old.invocation_id, amuont=7)

    assert app.dead_letters.count() == 1
    assert app.orchestrator.count_invocations() == 1


def test_arguments_of_every_kind_can_be_changed(app: Pynenc) -> None:
    @app.task
    def fail(first: int, /, second: int, *more: int, third: int = 3, **others: int) -> None:
        raise ValueError

    old = fail(1, 2, 8, 9, extra=10)
    ran(app, old)

    again = app.dead_letters.resubmit(old.invocation_id, first=100, third=30, other=5)

    assert again.arguments.kwargs == {
        "first": 100,
        "second": 2,
        "more": (8, 9),
        "third": 30,
        "others": {"extra": 10, "other": 5},
    }


def test_what_succeeded_or_lives_is_no_dead_letter(app: Pynenc, charge: Task[[str, int], str]) -> None:
    broken["down"] = False
    done, waiting = charge("ann", 1), charge.options(delay=3_600)("bob", 1)
    ran(app, done)

    for each, how in ((done, "ended SUCCESS"), (waiting, "has not ended")):
        with pytest.raises(InvocationStatusError, match=how):
            app.dead_letters.get(each.invocation_id)


def _kill(backend: Backend, number: int) -> None:
    """Let `number` ready invocations fail."""
    from pynenc.model.records import Exchange, Failure

    orchestrator = backend.orchestrator
    info = SessionInfo(kind=SessionKind.RUNNER, name="killer", host="", pid=1)
    session = run(orchestrator.open_session(info, lease_us=60_000_000))
    while number:
        claims = run(orchestrator.exchange(Exchange(session=session, want=min(number, 500)))).claims
        failed = tuple(Failure(invocation_id=each.invocation_id, epoch=each.epoch, error=b"") for each in claims)
        run(orchestrator.exchange(Exchange(session=session, completions=failed)))
        number -= len(claims)
    run(orchestrator.close_session(session))


def test_more_than_a_page_is_requeued_and_discarded_as_a_whole(app: Pynenc, charge: Task[[str, int], str]) -> None:
    charge.parallelize([("x", number) for number in range(1_203)])
    _kill(app.backend, 1_203)

    assert app.dead_letters.count() == 1_203
    assert app.dead_letters.requeue() == 1_203
    assert app.dead_letters.count() == 0
    _kill(app.backend, 1_203)
    assert app.dead_letters(queue="default").discard() == 1_203
    assert app.orchestrator.count_invocations() == 0


def test_all_that_match_are_cancelled(app: Pynenc, charge: Task[[str, int], str]) -> None:
    charge.options(queue="mail").parallelize([("x", number) for number in range(1_100)])
    other = charge("ann", 1)

    assert run(cancel_matching(app, queue="mail", task_id=charge.task_id)) == 1_100

    assert other.status is InvocationStatus.REGISTERED
    assert run(cancel_matching(app, queue="mail")) == 0
