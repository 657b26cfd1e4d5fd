"""Coroutines wait for outcomes: on every store, without threads, on several loops, and nothing is left of a loop."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable

import pytest

from pynenc import Pynenc
from pynenc.errors import InvocationNotFound, StoreError
from pynenc.model.ids import InvocationId, new_invocation_id
from tests.sqlite.processes import Child
from tests.waiting.scene import (
    PATIENCE_S,
    OnThread,
    Scene,
    Waiter,
    all_waiting,
    descriptors,
    threads,
    wait_and_do,
)


def test_coroutines_are_told_without_a_thread(store: str, scene: Scene) -> None:
    ids, before = scene.submit(20), threads()
    during: set[str] = set()

    def finish() -> None:
        during.update(threads())
        scene.finish(ids)

    results = asyncio.run(wait_and_do(scene.client, ids, finish))

    assert results == ids
    # Only SQLite itself needs one.
    assert {name for name in during - before if not name.startswith("pynenc-sqlite")} == set()


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_loop_that_watches_no_descriptors_is_told_all_the_same(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the default loop of Windows."""
    ids = scene.submit(5)

    def refuse(*_: object) -> None:
        raise NotImplementedError

    async def main() -> list[bytes]:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        return await wait_and_do(scene.client, ids, lambda: scene.finish(ids))

    assert asyncio.run(main()) == ids


def test_what_has_ended_is_there_at_once(scene: Scene) -> None:
    ids = scene.submit(3)
    scene.finish(ids)

    assert asyncio.run(wait_and_do(scene.client, ids, lambda: None)) == ids


def test_what_nobody_knows_is_not_waited_for_and_disturbs_nobody_else(scene: Scene) -> None:
    known, unknown = scene.submit(1), new_invocation_id()

    async def main() -> tuple[list[bytes], BaseException | None]:
        waiting, lost = Waiter(scene.client, known), Waiter(scene.client, [unknown])
        _, error = await asyncio.gather(waiting.begin(), lost.begin(), return_exceptions=True)
        scene.finish(known)
        return await waiting.results(), error

    results, error = asyncio.run(main())

    assert results == known
    assert isinstance(error, InvocationNotFound)


def test_two_loops_in_two_threads_wait_side_by_side(scene: Scene) -> None:
    ids = scene.submit(40)
    both = threading.Barrier(3)

    def waiting_for(mine: list[InvocationId]) -> OnThread:
        return OnThread(lambda: wait_and_do(scene.client, mine, lambda: both.wait(PATIENCE_S)))

    first, second = waiting_for(ids[:20]), waiting_for(ids[20:])
    both.wait(PATIENCE_S)
    scene.finish(ids)

    assert first.join() == ids[:20]
    assert second.join() == ids[20:]


def test_a_loop_that_ends_leaves_another_one_waiting(scene: Scene) -> None:
    ids = scene.submit(2)
    waits, ended = threading.Event(), threading.Event()

    async def wait_long() -> list[bytes]:
        [waiter] = await all_waiting(scene.client, ids[:1])
        waits.set()
        await asyncio.to_thread(ended.wait, PATIENCE_S)
        scene.finish(ids)
        return await waiter.results()

    async def leave() -> None:
        [waiter] = await all_waiting(scene.client, ids[1:])
        task = asyncio.create_task(waiter.results())
        await asyncio.sleep(0)
        assert not task.done()

    other = OnThread(wait_long)
    waits.wait(PATIENCE_S)
    asyncio.run(leave())
    ended.set()

    assert other.join() == ids[:1]


def test_one_who_is_cancelled_leaves_the_others_waiting(scene: Scene) -> None:
    ids = scene.submit(1)

    async def main() -> list[bytes]:
        first, second = await all_waiting(scene.client, ids * 2)
        given_up = asyncio.create_task(first.results())
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        scene.finish(ids)
        return await second.results()

    assert asyncio.run(main()) == ids


def test_one_who_is_cancelled_before_the_store_knows_leaves_the_others_waiting(scene: Scene) -> None:
    ids = scene.submit(2)

    async def main() -> list[bytes]:
        given_up = asyncio.create_task(Waiter(scene.client, ids[:1]).begin())
        await asyncio.sleep(0)
        given_up.cancel()
        [waiter] = await all_waiting(scene.client, ids[1:])
        scene.finish(ids)
        return await waiter.results()

    assert asyncio.run(main()) == ids[1:]


@pytest.mark.parametrize("goodbye", ["the loop ends", "the app is closed on it", "it has nothing to wait for"])
def test_nothing_is_left_of_a_loop(goodbye: str, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    if goodbye == "it has nothing to wait for":
        monkeypatch.setattr("pynenc.core.watches.LINGER_S", 0.05)
    app = Pynenc("memory://", app_id="closed")
    left: list[set[str]] = []

    async def main() -> None:
        ids = scene.submit(2)
        await all_waiting(scene.client, ids[1:])
        await wait_and_do(scene.client, ids[:1], lambda: scene.finish(ids[:1]))
        if goodbye == "the app is closed on it":
            app.__dict__["client"] = scene.client
            await app.aclose()
        elif goodbye == "it has nothing to wait for":
            scene.finish(ids)
            await end_of_tasks()
        if goodbye != "the loop ends":
            left.append({task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()})

    asyncio.run(main())
    before = descriptors()
    asyncio.run(main())
    gc.collect()

    assert all(names == set() for names in left)
    assert descriptors() - before == set()
    assert scene.sessions() == 0


async def end_of_tasks() -> None:
    async with asyncio.timeout(PATIENCE_S):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)


def test_whoever_still_waits_when_the_app_is_closed_is_told(scene: Scene) -> None:
    ids = scene.submit(1)

    async def main() -> None:
        [waiter] = await all_waiting(scene.client, ids)
        scene.client.close()
        with pytest.raises(StoreError, match="the app was closed"):
            await waiter.results()

    asyncio.run(main())


def test_parent_and_child_wait_on_loops_of_their_own(store: str, scene: Scene) -> None:
    if store == "memory":
        pytest.skip("a child has a memory store of its own")
    ids = scene.submit(2)

    async def wait_across_a_fork() -> list[bytes]:
        [waiter] = await all_waiting(scene.client, ids[:1])
        child = Child(_in_child(scene, ids[1:]))
        theirs = await asyncio.to_thread(child.result)
        scene.finish(ids[:1])
        return await waiter.results() + list(theirs)

    scene_results = asyncio.run(wait_across_a_fork())

    assert sorted(scene_results) == sorted(ids)


def _in_child(scene: Scene, ids: list[InvocationId]) -> Callable[[], list[bytes]]:
    return lambda: OnThread(lambda: wait_and_do(scene.client, ids, lambda: scene.finish(ids))).join()  # type: ignore[return-value]
