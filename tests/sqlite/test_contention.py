"""Several processes on one file, and processes that are killed in the middle of it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pynenc.backends.sqlite import open_backend
from pynenc.io import run
from pynenc.model.ids import InvocationId
from pynenc.model.records import Exchange
from tests.sqlite.processes import Child
from tests.sqlite.words import drain, known, runner, submit, successes


def hammer(path: Path, *, batches: int, size: int) -> tuple[list[InvocationId], list[InvocationId]]:
    """Submit, claim and complete in turn; return what was submitted and what was completed."""
    store = open_backend(f"sqlite:///{path}", options={})
    session = runner(store)
    submitted: list[InvocationId] = []
    completed: list[InvocationId] = []
    reply = run(store.orchestrator.exchange(Exchange(session=session, want=size)))
    for _ in range(batches):
        submitted += submit(store, size)
        completed += [claim.invocation_id for claim in reply.claims]
        request = Exchange(session=session, want=size, completions=successes(reply.claims))
        reply = run(store.orchestrator.exchange(request))
        assert all(each.verdict == 0 for each in reply.verdicts)
        run(store.orchestrator.tick(budget=10))
        run(store.state_backend.statuses(submitted[-size:]))
    run(store.orchestrator.close_session(session))
    store.close()
    return submitted, completed


def test_four_processes_at_once_lose_and_double_nothing(path: Path) -> None:
    children = [Child(lambda: hammer(path, batches=60, size=10)) for _ in range(4)]
    parts = [child.result() for child in children]
    store = open_backend(f"sqlite:///{path}", options={})

    rest = drain(store, runner(store))

    submitted = [each for part in parts for each in part[0]]
    completed = Counter([*(each for part in parts for each in part[1]), *rest])
    assert len(submitted) == 4 * 60 * 10
    assert completed == Counter(submitted)
    assert run(store.orchestrator.verify()) == []
    store.close()


def test_threads_and_loops_of_one_process_share_the_writer(path: Path) -> None:
    import threading

    store = open_backend(f"sqlite:///{path}", options={})
    submitted: list[InvocationId] = []
    threads = [threading.Thread(target=lambda: submitted.extend(submit(store, 20))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(drain(store, runner(store))) == sorted(submitted)
    assert len(submitted) == 320
    store.close()


@pytest.mark.faults
def test_processes_that_are_killed_leave_whole_batches(path: Path) -> None:
    size = 300
    acknowledged = 0
    for after in (1, 2, 3, 5, 8, 13):
        reader, writer = os.pipe()

        def submit_for_ever(writer: int = writer) -> None:
            store = open_backend(f"sqlite:///{path}", options={})
            while True:
                submit(store, size)
                os.write(writer, b".")

        child = Child(submit_for_ever)
        for _ in range(after):
            os.read(reader, 1)
            acknowledged += 1
        child.kill()
        os.close(writer)
        acknowledged += len(os.read(reader, 65_536))
        os.close(reader)
        store = open_backend(f"sqlite:///{path}", options={})
        number = run(store.state_backend.count())

        assert number % size == 0
        assert number >= acknowledged * size
        assert run(store.orchestrator.verify()) == []
        acknowledged = number // size
        store.close()


@pytest.mark.faults
def test_a_runner_that_is_killed_between_claim_and_completion_leaves_whole_exchanges(path: Path) -> None:
    store = open_backend(f"sqlite:///{path}", options={})
    ids = submit(store, 2_000)
    store.close()
    for after in (1, 3, 7):
        reader, writer = os.pipe()

        def work_for_ever(writer: int = writer) -> None:
            inner = open_backend(f"sqlite:///{path}", options={})
            session = runner(inner)
            reply = run(inner.orchestrator.exchange(Exchange(session=session, want=50)))
            while True:
                request = Exchange(session=session, want=50, completions=successes(reply.claims))
                reply = run(inner.orchestrator.exchange(request))
                os.write(writer, b".")

        child = Child(work_for_ever)
        for _ in range(after):
            os.read(reader, 1)
        child.kill()
        os.close(writer)
        os.close(reader)

    stats = run(store.orchestrator.queue_stats())[0]
    finals = sum(outcome is not None for outcome in run(store.state_backend.outcomes(ids)))

    assert stats.running % 50 == 0
    assert finals % 50 == 0
    assert stats.ready + stats.running + finals == 2_000
    assert known(store, ids) == 2_000
    assert run(store.orchestrator.verify()) == []
    store.close()
