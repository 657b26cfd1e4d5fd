"""The pool of threads: as many runnable ones as slots, resumed bodies first."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pynenc.runners.body import Parking
from pynenc.runners.body_threads import BodyThreads

WAIT_S = 30.0
Job = Callable[[], bool]


def pool_of(slots: int) -> BodyThreads[Job]:
    return BodyThreads(slots, lambda job: job(), before_rest=lambda: None, name="test")


def test_no_more_bodies_run_than_there_are_slots() -> None:
    pool = pool_of(3)
    running, most = 0, 0
    lock, full, go_on, done = threading.Lock(), threading.Event(), threading.Event(), threading.Semaphore(0)

    def job() -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 3:
                full.set()
        go_on.wait(WAIT_S)
        with lock:
            running -= 1
        done.release()
        return True

    pool.put([job] * 20)
    assert full.wait(WAIT_S)
    go_on.set()

    assert all(done.acquire(timeout=WAIT_S) for _ in range(20))
    assert most == 3
    pool.close()


def test_a_waiting_body_lends_its_slot_and_goes_on_before_new_work() -> None:
    pool = pool_of(1)
    order: list[str] = []
    parking = Parking()
    hold, done = threading.Event(), threading.Semaphore(0)

    def waits() -> bool:
        order.append("waits")
        pool.lend()
        parking.stand()
        order.append("goes on")
        done.release()
        return True

    def resumes() -> bool:
        order.append("meanwhile")
        hold.wait(WAIT_S)
        pool.reclaim(parking.leave)
        done.release()
        return True

    def new() -> bool:
        order.append("new")
        done.release()
        return True

    pool.put([waits, resumes])
    pool.put([new])
    hold.set()

    assert all(done.acquire(timeout=WAIT_S) for _ in range(3))
    assert order == ["waits", "meanwhile", "goes on", "new"]
    pool.close()


def test_a_slot_that_is_declined_goes_to_the_next() -> None:
    pool = pool_of(1)
    done = threading.Semaphore(0)

    def job() -> bool:
        done.release()
        return True

    pool.reclaim(lambda: False)
    pool.put([job, job])

    assert all(done.acquire(timeout=WAIT_S) for _ in range(2))
    pool.close()


def test_a_body_that_ends_without_its_slot_frees_none() -> None:
    pool = pool_of(1)
    lent, second_runs, release = threading.Event(), threading.Event(), threading.Event()
    running = threading.Semaphore(0)

    def lends_and_ends() -> bool:
        pool.lend()
        lent.set()
        second_runs.wait(WAIT_S)
        return False

    def occupies() -> bool:
        second_runs.set()
        release.wait(WAIT_S)
        return True

    def third() -> bool:
        running.release()
        return True

    pool.put([lends_and_ends, occupies, third])
    assert lent.wait(WAIT_S)
    assert second_runs.wait(WAIT_S)
    before = running.acquire(blocking=False)
    release.set()

    assert not before
    assert running.acquire(timeout=WAIT_S)
    pool.close()


def test_what_has_not_started_can_be_taken_back() -> None:
    pool = pool_of(1)
    begun, release = threading.Event(), threading.Event()

    def occupies() -> bool:
        begun.set()
        return release.wait(WAIT_S)

    def other() -> bool:
        raise AssertionError("it was taken back")

    pool.put([occupies, other, other])
    assert begun.wait(WAIT_S)
    taken = pool.take_back(lambda job: job is other)
    release.set()

    assert taken == [other, other]
    assert not pool.pending
    pool.close()


def test_threads_without_use_end_but_for_those_that_are_kept() -> None:
    name = "test-kept"
    pool: BodyThreads[Job] = BodyThreads(
        3, lambda job: job(), before_rest=lambda: None, name=name, kept=1, idle_s=0.001
    )
    together, done = threading.Barrier(3), threading.Semaphore(0)

    def job() -> bool:
        together.wait(WAIT_S)
        done.release()
        return True

    def threads() -> int:
        return sum(thread.name.startswith(name) for thread in threading.enumerate())

    for _ in range(2):
        pool.put([job] * 3)
        assert all(done.acquire(timeout=WAIT_S) for _ in range(3))
        tick = threading.Event()
        while threads() > 1:
            tick.wait(0.001)

    assert threads() == 1
    pool.close()
