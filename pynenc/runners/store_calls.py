"""What workers ask of the store: performed by the supervisor, submissions of all workers in one unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pynenc.errors import ProtocolError, PynencError
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
        if submits:
            self._submit(submits)
        for call, answer in others:
            answer(self._answered(call))

    def _submit(self, submits: Sequence[tuple[list[Submission], Answer]]) -> None:
        items = [item for each, _ in submits for item in each]
        try:
            replies = run(self._orchestrator.submit(items))
        except Exception as error:  # noqa: BLE001 - the worker that asked has to hear of it, whatever it is
            if len(submits) == 1:
                submits[0][1](_refusal(error))
            else:
                # One of them may be at fault: each gets its own answer.
                for single in submits:
                    self._submit([single])
            return
        begin = 0
        for own, answer in submits:
            answer(Reply(encode_record(replies[begin : begin + len(own)])))
            begin += len(own)

    def _answered(self, call: Call) -> Reply:
        try:
            return Reply(encode_record(self._perform_one(call)))
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
