"""What stays true when several do it at once."""

from __future__ import annotations

from pynenc.io import run
from pynenc.model.ids import InvocationId
from pynenc.model.records import (
    CancelVerdict,
    Dedupe,
    DedupePhase,
    Exchange,
    FinishedNotice,
    Submission,
    SubmitVerdict,
    Success,
    Suspend,
    Verdict,
)
from pynenc.model.status import InvocationStatus
from pynenc.testing.contracts.store import Store, StoreContract, race, submission

RACERS = 8


class RacesContract(StoreContract):
    def test_one_of_many_equal_submissions_creates(self, store: Store) -> None:
        items = [submission() for _ in range(20)]

        replies = race(RACERS, lambda _: run(store.orchestrator.submit(items)))

        created = [reply for each in replies for reply in each if reply.verdict is SubmitVerdict.CREATED]
        assert sorted(reply.invocation_id for reply in created) == sorted(item.invocation_id for item in items)

    def test_one_of_many_takes_a_key(self, store: Store) -> None:
        def submit(_: int) -> InvocationId:
            item = submission(dedupe=Dedupe(b"key", DedupePhase.UNTIL_FINAL))
            return run(store.orchestrator.submit([item]))[0].invocation_id

        assert len(set(race(RACERS, submit))) == 1

    def test_no_invocation_is_claimed_twice(self, store: Store) -> None:
        items = [submission() for _ in range(200)]
        store.submit_items(*items)
        sessions = [store.runner() for _ in range(RACERS)]

        def claim(index: int) -> list[InvocationId]:
            taken: list[InvocationId] = []
            while claims := run(store.orchestrator.exchange(Exchange(session=sessions[index], want=7))).claims:
                taken += [claim.invocation_id for claim in claims]
            return taken

        parts = race(RACERS, claim)

        assert sorted(each for part in parts for each in part) == sorted(item.invocation_id for item in items)

    def test_one_of_many_completions_is_accepted(self, store: Store) -> None:
        runner = store.runner()
        claim = store.running(runner)

        def complete(index: int) -> Verdict:
            done = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"%d" % index)
            return run(store.orchestrator.exchange(Exchange(session=runner, completions=(done,)))).verdicts[0].verdict

        verdicts = race(RACERS, complete)

        assert verdicts.count(Verdict.ACCEPTED) == 1
        assert verdicts.count(Verdict.ALREADY) == RACERS - 1

    def test_cancel_and_completion_agree_on_one_end(self, store: Store) -> None:
        for _ in range(10):
            runner = store.runner()
            claim = store.running(runner)
            done = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"")

            def act(index: int, claim: InvocationId = claim.invocation_id, done: Success = done) -> int:
                if index:
                    return int(run(store.orchestrator.cancel([claim]))[0].verdict)
                request = Exchange(session=runner, completions=(done,))  # noqa: B023 - used within this round
                return int(run(store.orchestrator.exchange(request)).verdicts[0].verdict)

            settled, cancelled = race(2, act)

            assert settled == Verdict.ACCEPTED
            assert cancelled in (CancelVerdict.REQUESTED, CancelVerdict.FINAL)
            assert store.status(claim.invocation_id) is InvocationStatus.SUCCESS

    def test_no_end_is_missed_between_watching_and_ending(self, store: Store) -> None:
        runner, client = store.runner(), store.client()
        for _ in range(20):
            claim = store.running(runner)
            done = Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"")

            def act(index: int, watched: InvocationId = claim.invocation_id, done: Success = done) -> int:
                if index:
                    run(store.orchestrator.exchange(Exchange(session=runner, completions=(done,))))
                    return 0
                return len(run(store.orchestrator.watch(client, [watched])).outcomes)

            at_once, _ = race(2, act)
            notices = [each for each in store.exchange(client).inbox if isinstance(each, FinishedNotice)]

            assert at_once + len(notices) == 1

    def test_no_wake_up_is_lost_between_suspending_and_ending(self, store: Store) -> None:
        runner = store.runner()
        for _ in range(20):
            parent, child = store.running(runner), store.running(runner)
            wish = Suspend(invocation_id=parent.invocation_id, epoch=parent.epoch, waits=(child.invocation_id,))
            done = Success(invocation_id=child.invocation_id, epoch=child.epoch, result=b"")

            def act(index: int, pair: tuple[Suspend, Success] = (wish, done)) -> Verdict:
                request = Exchange(session=runner, completions=(pair[index],))
                return run(store.orchestrator.exchange(request)).verdicts[0].verdict

            suspended, _ = race(2, act)

            if suspended is Verdict.ACCEPTED:
                assert len(store.resumed(runner)) == 1
            else:
                assert suspended is Verdict.SATISFIED
            store.succeed(parent)

    def test_an_expired_session_is_recovered_once(self, store: Store) -> None:
        claims = [store.running(store.runner()) for _ in range(5)]
        store.clock.advance(1_000)

        race(RACERS, lambda _: run(store.orchestrator.tick(budget=100)))

        for claim in claims:
            assert store.control(claim.invocation_id).crashes == 1
            assert len(store.snapshot(claim.invocation_id).attempts) == 1

    def test_due_work_is_promoted_once(self, store: Store) -> None:
        items: list[Submission] = [submission(delay_us=1) for _ in range(50)]
        store.submit_items(*items)
        store.clock.advance(1)

        handled = race(RACERS, lambda _: run(store.orchestrator.tick(budget=100)).handled)

        assert sum(handled) == len(items)
        assert len(store.claim(store.runner(), want=100)) == len(items)
