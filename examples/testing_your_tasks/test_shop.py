from __future__ import annotations

from collections.abc import Callable

import pytest

from examples.testing_your_tasks.shop import Bank, app, charge, checkout, send_mail
from pynenc import InvocationStatus, Pynenc
from pynenc.testing.engine import Engine


@pytest.fixture
def engine(pynenc_attach: Callable[[Pynenc], Engine], monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(Bank, "failures", 0)
    return pynenc_attach(app)


def test_a_checkout_charges_and_sends_the_receipt(engine: Engine) -> None:
    receipt = checkout(7, "ada@example.org").result

    assert receipt == "receipt 7"
    engine.assert_enqueued(send_mail, to="ada@example.org", text="receipt 7", times=1)


def test_a_bank_that_is_away_is_asked_again_later(engine: Engine) -> None:
    Bank.failures = 2
    invocation = charge(7)

    engine.run_all()
    waiting = invocation.status
    engine.run_all(skip_time=True)

    assert waiting is InvocationStatus.RETRY
    assert invocation.result == "receipt 7"
    assert invocation.num_retries == 2


def test_a_checkout_survives_a_crash_at_any_moment(engine: Engine) -> None:
    report = engine.crash_at_every_boundary(lambda: checkout(7, "ada@example.org"))

    assert report.steps > 5
    engine.assert_enqueued(send_mail, times=1)
