"""What workers ask of the store, when it does not answer, or refuses one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pynenc.backends.memory import MemoryBackend
from pynenc.errors import StoreError, StoreUnavailable
from pynenc.io import Op
from pynenc.model.ids import InvocationId, new_invocation_id
from pynenc.model.records import CancelReply, Submission, SubmitReply
from pynenc.ports.passing import PassingOrchestrator
from pynenc.runners.linked import CANCEL, SUBMIT
from pynenc.runners.store_calls import StoreCalls
from pynenc.wire.frames import Call, Reply
from pynenc.wire.records import encode_record

Fault = Callable[[Sequence[Submission]], Exception | None]


class FaultyStore(PassingOrchestrator):
    """Counts what it is asked; fails as the test says."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(MemoryBackend().orchestrator)
        self.asked = 0
        self._fault = fault

    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        self._ask(items)
        return (yield from super().submit(items))

    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        self._ask(())
        return (yield from super().cancel(ids, tree=tree, detail=detail))

    def _ask(self, items: Sequence[Submission]) -> None:
        self.asked += 1
        error = self._fault(items)
        if error is not None:
            raise error


def submitting(task_id: str) -> Call:
    item = Submission(invocation_id=new_invocation_id(), task_id=task_id, arguments=b"")
    return Call(SUBMIT, encode_record([item]))


def cancelling() -> Call:
    return Call(CANCEL, encode_record(([new_invocation_id()], False, "")))


def answers_of(store: FaultyStore, calls: Sequence[Call]) -> list[Reply]:
    performer = StoreCalls(store)
    answers: dict[int, Reply] = {}
    for number, call in enumerate(calls):
        performer.take(call, lambda reply, number=number: answers.update({number: reply}))  # type: ignore[misc]
    performer.perform()
    return [answers[number] for number in range(len(calls))]


def test_a_store_that_does_not_answer_is_waited_for_once_however_many_ask() -> None:
    store = FaultyStore(lambda _: StoreUnavailable("no answer"))

    replies = answers_of(store, [*(submitting("t") for _ in range(5)), cancelling(), cancelling()])

    assert {reply.error_code for reply in replies} == {"StoreUnavailable"}
    assert store.asked == 1


def test_a_store_that_falls_silent_in_between_refuses_what_is_left() -> None:
    store = FaultyStore(lambda items: None if items else StoreUnavailable("no answer"))

    first, second, third = answers_of(store, [submitting("t"), cancelling(), cancelling()])

    assert not first.error_code
    assert (second.error_code, third.error_code) == ("StoreUnavailable", "StoreUnavailable")
    assert store.asked == 2


def test_one_that_is_at_fault_spoils_nobody_elses_submission() -> None:
    def fault(items: Sequence[Submission]) -> Exception | None:
        return StoreError("refused") if any(item.task_id == "bad" for item in items) else None

    replies = answers_of(FaultyStore(fault), [submitting("good"), submitting("bad"), submitting("good")])

    assert [reply.error_code for reply in replies] == ["", "StoreError", ""]
