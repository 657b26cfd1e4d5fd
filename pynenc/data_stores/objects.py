"""A client data store of objects: one object for each value, under the day on which it was written.

An object is called `<day>/<BLAKE2b-256 of the value>`, and the day is part of the reference. A day that is over gets no
new references, so once everything that may have been named on it is forgotten, it goes as a whole: nobody has to be
asked which of its objects are in use, and no writer can come to rely on an object that is just being removed. The
price: a value that is written on several days is kept once for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

from pynenc.clock import system_clock_us
from pynenc.data_stores.cache import NO_CACHE, Cache
from pynenc.data_stores.parcels import Damaged, unwrap, wrap
from pynenc.data_stores.threads import InThread, InThreads, Threads
from pynenc.errors import StoreCorrupted, StoreError
from pynenc.io import Op
from pynenc.ports.backend import ClockUs, Finding
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.object_place import ObjectPlace

DAY_US = 86_400_000_000
_KEY, _DAY = 32, 2
_EPOCH = date(1970, 1, 1).toordinal()
_OWNER = "owner"
_UNFINISHED_US = 2 * DAY_US


class ObjectDataStore(ClientDataStore):
    """Keeps values in an `ObjectPlace`.

    Args:
        owner: names the store of invocations that the references are in; only for it is anything removed here.
        compress: whether values that shrink are compressed.
    """

    def __init__(
        self,
        place: ObjectPlace,
        *,
        owner: str,
        cache: Cache = NO_CACHE,
        compress: bool = True,
        clock: ClockUs = system_clock_us,
    ) -> None:
        self.url = place.url
        self._place = place
        self._owner = owner
        self._cache = cache
        self._compress = compress
        self._clock = clock
        self._threads = Threads()

    def put(self, key: bytes, data: bytes) -> Op[bytes]:
        reference: bytes = yield self._request(lambda: self._put(key, data))
        return reference

    def put_many(self, items: Sequence[tuple[bytes, bytes]]) -> Op[list[bytes]]:
        references: list[bytes] = yield InThreads(self._threads, [partial(self._put, *item) for item in items])
        return references

    def get(self, reference: bytes) -> Op[bytes | None]:
        data: bytes | None = yield self._request(lambda: self._get(reference))
        return data

    def collect(self, *, before_us: int) -> Op[int]:
        went: int = yield self._request(lambda: self._collect(before_us))
        return went

    def hand_over(self, old: str, new: str) -> Op[bool]:
        """Go on for the store of invocations `new` if this was for `old`, whose references it has now."""
        changed: bool = yield self._request(lambda: self._hand_over(old, new))
        return changed

    def diagnose(self) -> Op[list[Finding]]:
        """Check the health of the place for `pynenc doctor`."""
        findings: list[Finding] = yield self._request(self._diagnose)
        return findings

    def close(self) -> None:
        """Give descriptors, connections and threads back; the next operation opens them anew."""
        self._threads.close()
        self._place.close()

    def _request(self, function: Callable[[], object]) -> InThread:
        return InThread(self._threads, function)

    # --- in whatever thread ---

    def _put(self, key: bytes, data: bytes) -> bytes:
        reference = key + (self._clock() // DAY_US).to_bytes(_DAY, "big")
        group, name = _place_of(reference)
        if not self._place.has(group, name):
            self._place.write(group, name, wrap(data, compress=self._compress))
        return reference

    def _get(self, reference: bytes) -> bytes | None:
        if len(reference) != _KEY + _DAY:
            return None
        key, (group, name) = reference[:_KEY], _place_of(reference)
        cached = self._cache.read(group, name)
        if cached is not None:
            try:
                return unwrap(cached, key)
            except Damaged:
                self._cache.drop(group, name)
        parcel = self._place.read(group, name)
        if parcel is None:
            return None
        try:
            data = unwrap(parcel, key)
        except Damaged as error:
            raise StoreCorrupted(
                f"the object {self._place.name_of(group, name)} of the client data store is damaged: {error}. Nothing "
                "was changed or removed: put it back from a backup or an older version; or remove it, and submit again "
                "the invocation whose argument it is, or run again the one whose result it is"
            ) from error
        self._cache.write(group, name, parcel)
        return data

    def _collect(self, before_us: int) -> int:
        owner = self._claim()
        if owner != self._owner:
            raise StoreError(_foreign(self.url, owner, self._owner))
        limit = min(before_us, self._clock() - DAY_US)
        went = 0
        for group in self._place.groups():
            if (_day_of(group) + 1) * DAY_US <= limit:
                went += self._place.drop_group(group)
        self._place.sweep(before_us=self._clock() - _UNFINISHED_US)
        return went

    def _claim(self) -> str:
        """Return whose references the objects are for: ours from now on, if nobody's so far."""
        found = self._place.read(None, _OWNER)
        if found is None:
            self._place.create(_OWNER, self._owner.encode())
            found = self._place.read(None, _OWNER)
        return self._owner if found is None else found.decode("utf-8", "replace")

    def _hand_over(self, old: str, new: str) -> bool:
        if self._place.read(None, _OWNER) != old.encode():
            return False
        self._place.remove(_OWNER)
        return self._place.create(_OWNER, new.encode())

    def _diagnose(self) -> list[Finding]:
        findings = self._place.diagnose()
        if any(finding.level == "error" for finding in findings):
            return findings
        found = self._place.read(None, _OWNER)
        if found is not None and found != self._owner.encode():
            text = _foreign(self.url, found.decode("utf-8", "replace"), self._owner)
            remedy = f"remove {self.url}/{_OWNER} if the other store is no longer used; else name another place"
            findings.append(Finding(level="warning", subject="client data", detail=text, remedy=remedy))
        days = self._place.groups()
        detail = f"{self.url} can be written and read; values of {len(days)} days"
        return [Finding(level="ok", subject="client data", detail=detail), *findings]


def _place_of(reference: bytes) -> tuple[str, str]:
    day = int.from_bytes(reference[_KEY:], "big")
    return date.fromordinal(_EPOCH + day).isoformat(), reference[:_KEY].hex()


def _day_of(group: str) -> int:
    """Return the number of a day; of anything else one that is never over."""
    try:
        return date.fromisoformat(group).toordinal() - _EPOCH
    except ValueError:
        return 1 << 40


def _foreign(url: str, owner: str, wanted: str) -> str:
    return f"nothing is removed from {url}: it keeps values for {owner}, not for {wanted}"
