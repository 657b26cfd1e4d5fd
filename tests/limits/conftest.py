"""Apps on every store that keeps limits, with a clock that obeys and runs that begin and end when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynenc import Pynenc
from pynenc.invocation import BaseInvocation
from pynenc.io import run
from pynenc.model.ids import InvocationId, id_text, parse_id
from pynenc.model.records import Claim, Exchange, Failure, Retry, SessionInfo, SessionKind, Started, Success
from pynenc.testing.clock import FakeClock
from pynenc.testing.inline_runner import InlineRunner
from tests import stores

LEASE_US = 365 * 86_400_000_000


class Stage:
    """An app whose work is begun, ended and run by the test."""

    def __init__(self, app: Pynenc, clock: FakeClock) -> None:
        self.app = app
        self.clock = clock
        self._runner = InlineRunner(app)
        self._claims: dict[InvocationId, Claim] = {}
        info = SessionInfo(kind=SessionKind.RUNNER, name="stage", host="here", pid=1, slots=100)
        self.session = run(app.control.open_session(info, lease_us=LEASE_US))

    def begin(self, want: int = 100) -> list[str]:
        """Begin up to `want` runs, which go on until they are ended; return their ids in order."""
        claims: list[Claim] = []
        while True:
            reply = run(self.app.control.exchange(Exchange(session=self.session, want=want - len(claims))))
            claims += reply.claims
            if not reply.more or len(claims) == want:
                break
        started = tuple(Started(claim.invocation_id, claim.epoch) for claim in claims)
        run(self.app.control.exchange(Exchange(session=self.session, started=started)))
        self._claims.update({claim.invocation_id: claim for claim in claims})
        return [id_text(claim.invocation_id) for claim in claims]

    def end(self, *ids: str) -> None:
        """End runs that were begun."""
        none = run(self.app.payloads.encode_value(None))
        self._complete(Success(invocation_id=c.invocation_id, epoch=c.epoch, result=none) for c in self._of(ids))

    def fail(self, *ids: str) -> None:
        """End runs that were begun as failed."""
        self._complete(Failure(invocation_id=c.invocation_id, epoch=c.epoch, error=b"") for c in self._of(ids))

    def retry(self, *ids: str, delay_s: float = 0) -> None:
        """End attempts that were begun; another one follows."""
        delay_us = int(delay_s * 1_000_000)
        self._complete(
            Retry(invocation_id=c.invocation_id, epoch=c.epoch, error=b"", delay_us=delay_us) for c in self._of(ids)
        )

    def run_all(self) -> None:
        """Run the bodies of everything that can run now."""
        self._runner.run_until_idle()

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.clock.advance(seconds)

    def close(self) -> None:
        self._runner.close()

    def _of(self, ids: tuple[str, ...]) -> list[Claim]:
        return [self._claims.pop(parse_id(each)) for each in ids]

    def _complete(self, completions: Any) -> None:
        run(self.app.control.exchange(Exchange(session=self.session, completions=tuple(completions))))


@pytest.fixture(params=stores.ALL)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Return a stage on a fresh store."""
    clock = FakeClock()
    with stores.fresh_store(request.param, tmp_path, clock) as backend:
        app = Pynenc("memory://", app_id=f"limits_{request.param}")
        app.use_backend(backend)
        stage = Stage(app, clock)
        try:
            yield stage
        finally:
            stage.close()
            app.close()


@pytest.fixture
def app(stage: Stage) -> Pynenc:
    return stage.app


def ids(*invocations: BaseInvocation[..., Any]) -> list[str]:
    """Return the ids of invocations."""
    return [invocation.invocation_id for invocation in invocations]
