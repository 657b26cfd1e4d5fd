"""What a client data store promises: that of a store of invocations, and one of its own."""

from __future__ import annotations

from hashlib import blake2b

from pynenc.io import run
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts.store import SECOND_US, Perform, Store, StoreContract, race

DAY_S = 86_400
_DAY_US = DAY_S * SECOND_US
TEXT = b"so much of it " * 10_000


def key_of(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


class ClientDataStoreContract:
    """Fixtures: `data` (an empty store that uses `clock`), `clock` (a `FakeClock`), `perform`."""

    def test_data_comes_back_byte_for_byte_by_a_reference_that_begins_with_its_key(
        self, data: ClientDataStore, perform: Perform
    ) -> None:
        for value in (bytes(range(256)) * 4_096, TEXT, b"", b"\0"):
            reference = perform(data.put(key_of(value), value))

            assert perform(data.get(reference)) == value
            assert reference[:32] == key_of(value)
            assert len(reference) <= 48

    def test_what_was_never_put_is_none(self, data: ClientDataStore, perform: Perform) -> None:
        there = perform(data.put(key_of(TEXT), TEXT))

        assert perform(data.get(bytes(32) + there[32:])) is None

    def test_a_reference_that_no_store_made_is_none(self, data: ClientDataStore, perform: Perform) -> None:
        for place in (b"", b"\0", b"../../../../x", bytes(range(16)), b"\xff" * 16, b"\xff\xff"):
            assert perform(data.get(b"/etc/passwd\n".rjust(32, b".") + place)) is None

    def test_the_same_is_the_same_whoever_puts_it(self, data: ClientDataStore, perform: Perform) -> None:
        first = perform(data.put(key_of(TEXT), TEXT))

        again = perform(data.put(key_of(TEXT), TEXT))

        assert again == first
        assert perform(data.get(first)) == TEXT

    def test_several_values_at_once_come_back_each_by_its_reference(
        self, data: ClientDataStore, perform: Perform
    ) -> None:
        values = [b"%d" % number * 50_000 for number in range(20)]

        references = perform(data.put_many([(key_of(value), value) for value in values]))

        assert [perform(data.get(reference)) for reference in references] == values
        assert perform(data.put_many([])) == []

    def test_racing_writers_and_readers_see_data_whole_or_not_at_all(self, data: ClientDataStore) -> None:
        values = [bytes([number]) * 300_000 for number in range(3)]
        references = [run(data.put(key_of(b"%d" % number), b"%d" % number)) for number in range(3)]
        place = references[0][32:]

        def act(number: int) -> list[bytes | None]:
            value = values[number % 3]
            if number < 6:
                return [run(data.get(run(data.put(key_of(value), value))))]
            return [run(data.get(key_of(value) + place)) for _ in range(5)]

        seen = race(9, act)

        assert seen[:6] == [[values[number % 3]] for number in range(6)]
        assert all(got in (None, values[number % 3]) for number in range(6, 9) for got in seen[number])

    def test_what_was_last_written_before_an_instant_is_collected(
        self, data: ClientDataStore, perform: Perform, clock: FakeClock
    ) -> None:
        old = perform(data.put(key_of(b"old"), b"old"))
        kept_by = [perform(data.put(key_of(TEXT), TEXT))]
        clock.advance(3 * DAY_S)
        before_us = clock()
        kept_by.append(perform(data.put(key_of(TEXT), TEXT)))
        new = perform(data.put(key_of(b"new"), b"new"))
        clock.advance(3 * DAY_S)

        went = perform(data.collect(before_us=before_us))

        assert went >= 1
        assert perform(data.get(old)) is None
        assert perform(data.get(new)) == b"new"
        assert perform(data.get(kept_by[-1])) == TEXT

    def test_what_was_written_lately_is_not_collected(
        self, data: ClientDataStore, perform: Perform, clock: FakeClock
    ) -> None:
        clock.advance(DAY_S)
        before_us = clock()
        reference = perform(data.put(key_of(TEXT), TEXT))
        clock.advance(DAY_S)

        perform(data.collect(before_us=before_us))

        assert perform(data.get(reference)) == TEXT

    def test_racing_collectors_and_writers_lose_nothing_new(self, data: ClientDataStore, clock: FakeClock) -> None:
        for number in range(20):
            run(data.put(key_of(b"%d" % number), b"%d" % number))
        clock.advance(3 * DAY_S)
        before_us = clock() - _DAY_US

        def act(number: int) -> list[bytes]:
            if number < 3:
                run(data.collect(before_us=before_us))
                return []
            return [run(data.put(key_of(b"%d" % each), b"%d" % each)) for each in range(20)]

        written = race(6, act)[3]

        assert [run(data.get(reference)) for reference in written] == [b"%d" % number for number in range(20)]

    def test_collecting_what_is_empty_does_nothing(self, data: ClientDataStore, perform: Perform) -> None:
        assert perform(data.collect(before_us=0)) == 0


class OwnClientDataContract(StoreContract):
    """What the client data of a store of invocations promises besides."""

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

    def test_what_was_written_a_day_before_the_oldest_known_call_has_no_name(self, store: Store) -> None:
        now_us = store.clock()
        assert store.perform(store.state.unnamed_before()) == now_us - _DAY_US

        oldest = store.submit()
        store.clock.advance(10 * DAY_S)
        store.submit()

        named_from = store.perform(store.state.unnamed_before())
        assert now_us - _DAY_US - 3_600 * SECOND_US < named_from <= now_us - _DAY_US

        store.perform(store.orchestrator.cancel([oldest]))
        store.perform(store.state.purge([oldest]))

        assert store.perform(store.state.unnamed_before()) > named_from

    def _end_one_by_retention(self, store: Store) -> None:
        """Let two days pass, and an invocation come and go."""
        store.clock.advance(2 * DAY_S)
        store.perform(store.backend.client_data_store.put(b"b" * 32, b"y"))
        brief = store.submit(retention_us=SECOND_US)
        store.perform(store.orchestrator.cancel([brief]))
        store.clock.advance(1)
        store.tick()
        assert store.status(brief) is None
