"""Waiting on a store that refuses for a reason that time does not mend."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from pynenc.backends.memory import MemoryBackend
from pynenc.core.client import Client
from pynenc.errors import StoreError
from pynenc.io import Op, run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Exchange, ExchangeReply, Outcome, Submission
from pynenc.ports.passing import PassingOrchestrator


class RefusingStore(PassingOrchestrator):
    """Refuses every exchange."""

    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        raise StoreError("not here any more")


def readers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "pynenc-client"}


def test_a_wait_that_a_store_refuses_fails_and_leaves_nobody_asking() -> None:
    store = RefusingStore(MemoryBackend().orchestrator)
    client = Client(store, lease_us=10_000_000, name="waiter")
    invocation_id = new_invocation_id()
    run(store.submit([Submission(invocation_id=invocation_id, task_id="t", arguments=b"")]))
    before, arrived = readers(), SimpleQueue[Outcome | BaseException]()

    run(client.subscribe([invocation_id], arrived.put))
    answer = arrived.get(timeout=60)
    for reader in readers() - before:
        reader.join(10)
    left = readers() - before
    client.close()

    assert isinstance(answer, StoreError)
    assert not left
