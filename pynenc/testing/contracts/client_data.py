"""What the client data store promises."""

from __future__ import annotations

from pynenc.testing.contracts.store import SECOND_US, Store, StoreContract


class ClientDataStoreContract(StoreContract):
    def test_data_comes_back_byte_for_byte(self, store: Store) -> None:
        data = bytes(range(256)) * 4_096

        store.perform(store.backend.client_data_store.put(b"k" * 32, data))

        assert store.perform(store.backend.client_data_store.get(b"k" * 32)) == data

    def test_an_unknown_key_is_none(self, store: Store) -> None:
        assert store.perform(store.backend.client_data_store.get(b"k" * 32)) is None

    def test_data_outlives_no_invocation_that_could_name_it(self, store: Store) -> None:
        data = store.backend.client_data_store
        store.perform(data.put(b"a" * 32, b"x"))
        old = store.submit()
        self._end_one_by_retention(store)
        assert store.perform(data.get(b"a" * 32)) == b"x"

        store.perform(store.orchestrator.cancel([old]))
        store.perform(store.state.purge([old]))
        store.perform(data.put(b"b" * 32, b"y"))
        self._end_one_by_retention(store)

        assert store.perform(data.get(b"a" * 32)) is None
        assert store.perform(data.get(b"b" * 32)) == b"y"

    def _end_one_by_retention(self, store: Store) -> None:
        """Let two days pass, and an invocation come and go."""
        store.clock.advance(2 * 86_400)
        store.perform(store.backend.client_data_store.put(b"b" * 32, b"y"))
        brief = store.submit(retention_us=SECOND_US)
        store.perform(store.orchestrator.cancel([brief]))
        store.clock.advance(1)
        store.tick()
        assert store.status(brief) is None

    def test_old_data_that_nobody_keeps_is_collected(self, store: Store) -> None:
        data = store.backend.client_data_store
        for key in (b"a" * 32, b"b" * 32, b"c" * 32):
            store.perform(data.put(key, b"x"))
        store.clock.advance(10)
        store.perform(data.put(b"c" * 32, b"x"))

        collected = store.perform(data.collect(keep=[b"a" * 32], older_than_us=5 * SECOND_US))

        assert collected == 1
        assert store.perform(data.get(b"b" * 32)) is None
        assert store.perform(data.get(b"a" * 32)) == store.perform(data.get(b"c" * 32)) == b"x"
