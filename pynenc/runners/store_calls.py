"""What workers ask of the store: performed by the supervisor, submissions of all workers in one unit.

A store that does not answer is waited for once, however many ask: all get the same refusal then. The supervisor has its
lease to renew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynenc.errors import ProtocolError, PynencError, StoreUnavailable
from pynenc.io import run
from pynenc.model.records import Submission
from pynenc.ports.orchestrator import Orchestrator
from pynenc.runners.linked import CANCEL, SUBMIT
from pynenc.wire import records
from pynenc.wire.frames import Call, Reply
from pynenc.wire.records import encode_record

Answer = Callable[[Reply], None]


class StoreCalls:
    """Collects calls and performs them together. Errors of the store go back to who asked."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._submits: list[tuple[list[Submission], Answer]] = []
        self._others: list[tuple[Call, Answer]] = []

    def take(self, call: Call, answer: Answer) -> None:
        """Note a call; `perform` answers it."""
        if call.operation != SUBMIT:
            self._others.append((call, answer))
            return
        try:
            self._submits.append((records.submissions.decode(call.body), answer))
        except ProtocolError as error:
            answer(_refusal(error))

    def perform(self) -> None:
        """Perform and answer everything that was taken."""
        submits, self._submits = self._submits, []
        others, self._others = self._others, []
        try:
            if submits:
                self._submit(submits)
            while others:
                call, answer = others[0]
                answer(self._answered(call))
                del others[0]
        except StoreUnavailable as error:
            for _, answer in (*submits, *others):
                answer(_refusal(error))

    def _submit(self, submits: list[tuple[list[Submission], Answer]]) -> None:
        """Submit and answer; what is answered leaves the list.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        items = [item for each, _ in submits for item in each]
        try:
            replies = run(self._orchestrator.submit(items))
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the worker that asked has to hear of it, whatever it is
            if len(submits) == 1:
                submits.pop()[1](_refusal(error))
            # One of them may be at fault: each gets its own answer.
            while submits:
                self._submit(submits[:1])
                del submits[:1]
            return
        begin = 0
        for own, answer in submits:
            answer(Reply(encode_record(replies[begin : begin + len(own)])))
            begin += len(own)
        submits.clear()

    def _answered(self, call: Call) -> Reply:
        try:
            return Reply(encode_record(self._perform_one(call)))
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            return _refusal(error)

    def _perform_one(self, call: Call) -> Any:
        if call.operation == CANCEL:
            ids, tree, detail = records.cancel_request.decode(call.body)
            return run(self._orchestrator.cancel(ids, tree=tree, detail=detail))
        raise ProtocolError(f"a worker asked for the unknown operation {call.operation!r:.50}")


def _refusal(error: Exception) -> Reply:
    kind = type(error).__name__ if isinstance(error, PynencError) else "StoreError"
    return Reply(b"", kind, str(error))
