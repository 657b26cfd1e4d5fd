"""Carries everything an app has from one store to another while nothing runs, so that nothing is ever found twice.

The states of (source, target); each step is one atomic unit of one store, and says which seal it replaces:

    (open, open) - (LEAVING, open) - (LEAVING, ARRIVING): carried and compared - (MOVED, ARRIVING) - (MOVED, open)

and then the source is emptied. Up to MOVED the source is the one that counts, from there on the target; in between both
refuse all work, so nothing is claimable in both at any moment. Whoever dies on the way leaves the name of the move in
the seals, and the same move again goes on: what has arrived is passed over. Up to MOVED it can be taken back,

    (LEAVING, ARRIVING) - (open, ARRIVING): emptied - (open, open)

in this order, because a mover that is still at work can then no longer declare its move complete. A mover that another
one overtook, whichever way, is refused by the next store that it wants to change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

import msgspec
from msgspec import Struct

from pynenc.errors import ConfigurationError, GatesUnsupported, StoreCorrupted, StoreError
from pynenc.io import run
from pynenc.model.ids import InvocationId, id_text, new_invocation_id
from pynenc.model.records import SessionRow
from pynenc.ports.backend import Backend
from pynenc.ports.transfer import Carried, CarriedData, Header, Seal, SealReply, SealState, Survey, Transfer

PAGE = 200
DATA_PAGE = 8
"""Most invocations and values of client data that are in memory at a time (twice as many while comparing)."""
_TICK_BUDGET = 1_000
_LOOK_S = 0.5
_MOST_NAMED = 3

Report = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""


class Moved(Struct, frozen=True):
    """What a move carried."""

    invocations: int
    data: int


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


class Move:
    """One move from `source` to `target`.

    Args:
        wait_s: how long to wait for sessions to end: those of processes that are stopping, or that died and whose lease
            has yet to end.
        report: is told of the progress.
    """

    def __init__(self, source: Backend, target: Backend, *, wait_s: float = 0.0, report: Report = _silent) -> None:
        self._source = source
        self._target = target
        self._wait_s = wait_s
        self._report = report

    def carry(self) -> Moved:
        """Move, or go on with a move that stopped.

        Raises:
            ConfigurationError: both are the same store.
            StoreError: something is alive in the source, something is in the target, one of them takes part in another
                move, or this one was taken back meanwhile. Source and target are as they were.
            StoreCorrupted: what arrived is not what left; the source is as it was, and sealed.
        """
        out, into = self._source.transfer, self._target.transfer
        before = run(out.survey())
        if before.seal is None:
            self._refuse_nothing(before)
            self._end_dead_sessions(self._source)
            self._refuse_broken()
        if (before.seal is None or before.seal.state is SealState.LEAVING) and run(into.survey()).seal is None:
            self._end_dead_sessions(self._target)
        leaving, arriving = self._begin()
        moved = Seal(SealState.MOVED, leaving.move, leaving.other)
        if leaving.state is SealState.LEAVING:
            carried = self._complete(leaving, arriving, moved)
        else:
            # Here the numbers say what is there, which is what was carried unless the target is in use already.
            carried = Moved(run(into.survey()).invocations, 0)
        run(into.unseal(arriving))
        self._report("emptying the old store", 0, 1)
        run(out.clear(moved))
        return carried

    def abandon(self) -> None:
        """Take a move back that is not complete: the target is empty, the source open again.

        Raises:
            StoreError: there is none, or it is complete.
        """
        out, into = self._source.transfer, self._target.transfer
        leaving, arriving = run(out.survey()).seal, run(into.survey()).seal
        ours = leaving is not None and leaving.state is SealState.LEAVING and leaving.other == self._target.url
        theirs = arriving is not None and arriving.state is SealState.ARRIVING and arriving.other == self._source.url
        if not ours and not (leaving is None and theirs):
            raise StoreError(
                f"there is no unfinished move from {self._source.url} to {self._target.url} to take back"
                + (": it is complete" if leaving is not None and leaving.state is SealState.MOVED else "")
            )
        if leaving is not None and not run(out.unseal(leaving)):
            raise StoreError(f"the move from {self._source.url} was completed meanwhile by another process")
        if arriving is not None and theirs and (leaving is None or arriving.move == leaving.move):
            run(into.clear(arriving))
            run(into.unseal(arriving))

    # --- before ---

    def _refuse_nothing(self, before: Survey) -> None:
        """Refuse a store that nobody ever used: its URL is mistyped."""
        out = self._source.transfer
        if not before.invocations and not run(out.header()).last_session and not run(out.data_out(None, 1)):
            raise StoreError(
                f"the store {self._source.url} was never used: there is nothing to move. Is the URL right?"
            )

    def _end_dead_sessions(self, store: Backend) -> None:
        """Wait until no session is alive there; those that stopped without a word are when their lease is over."""
        until = time.monotonic() + self._wait_s
        while True:
            while run(store.orchestrator.tick(budget=_TICK_BUDGET)).more:
                pass
            alive = run(store.transfer.survey()).sessions
            if not alive:
                return
            if time.monotonic() >= until:
                raise _busy(store, alive)
            self._report(f"waiting for {len(alive)} sessions to end", 0, 1)
            time.sleep(_LOOK_S)

    def _refuse_broken(self) -> None:
        broken = run(self._source.orchestrator.verify())
        if broken:
            raise StoreCorrupted(
                f"{len(broken)} records of {self._source.url} contradict each other (first: {broken[0].detail}); run "
                "`pynenc doctor --repair` before the move"
            )

    # --- sealing ---

    def _begin(self) -> tuple[Seal, Seal]:
        """Seal both stores, or find them sealed by this very move; return the seals of source and target."""
        leaving, arriving = run(self._source.transfer.survey()).seal, run(self._target.transfer.survey()).seal
        if leaving is not None and (leaving.state is SealState.ARRIVING or leaving.other != self._target.url):
            raise _elsewhere(self._source, leaving)
        move = leaving.move if leaving is not None else id_text(new_invocation_id())
        wanted = Seal(SealState.ARRIVING, move, self._source.url)
        if leaving is not None and leaving.state is SealState.MOVED:
            return leaving, wanted
        # A store that was moved away from and emptied may take things in again.
        if arriving is not None and arriving.state is not SealState.MOVED and arriving != wanted:
            raise self._same() if arriving == leaving else _elsewhere(self._target, arriving)
        if leaving is None:
            leaving = Seal(SealState.LEAVING, move, self._target.url)
            reply = run(self._source.transfer.seal(leaving, instead_of=None))
            if reply is not SealReply.SEALED:
                now = run(self._source.transfer.survey())
                raise _elsewhere(self._source, now.seal) if now.seal else _busy(self._source, now.sessions)
        reply = run(self._target.transfer.seal(wanted, instead_of=arriving))
        if reply is not SealReply.SEALED:
            raise self._undo_beginning(leaving, reply)
        return leaving, wanted

    def _undo_beginning(self, leaving: Seal, reply: SealReply) -> Exception:
        """Open the source again, which the target would not follow; return why."""
        there = run(self._target.transfer.survey()).seal
        run(self._source.transfer.unseal(leaving))
        if there == leaving:
            return self._same()
        if there is not None and there.state is not SealState.MOVED:
            return _elsewhere(self._target, there)
        why = "is in use" if reply is SealReply.BUSY else "already holds invocations or data"
        return StoreError(f"the store {self._target.url} {why}: a move needs an empty one that nobody uses")

    def _same(self) -> ConfigurationError:
        return ConfigurationError(f"{self._source.url} and {self._target.url} are the same store: a move needs two")

    # --- carrying ---

    def _complete(self, leaving: Seal, arriving: Seal, moved: Seal) -> Moved:
        """Bring everything over, and make the target the one that counts."""
        out, into = self._source.transfer, self._target.transfer
        carried = Moved(0, 0)
        try:
            carried = self._fill(arriving, run(out.survey()).invocations)
            sealed = run(out.seal(moved, instead_of=leaving)) is SealReply.SEALED
        except StoreCorrupted:
            seal = run(out.survey()).seal
            if seal == leaving:
                raise
            # Somebody else completed the move, or took it back: no wonder that the two differ.
            sealed = seal == moved
        if sealed:
            return carried
        # It was taken back before the target was sealed. What is in there counts nowhere, and never will.
        run(into.clear(arriving))
        run(into.unseal(arriving))
        raise StoreError(f"the move from {self._source.url} was taken back meanwhile by another process")

    def _fill(self, arriving: Seal, total: int) -> Moved:
        out, into = self._source.transfer, self._target.transfer
        if not run(into.survey()).invocations:
            # Sessions and queues of a former life, whose numbers and names would mix with those that come.
            run(into.clear(arriving))
        header = run(out.header())
        self._require_gates(bool(header.settings))
        run(into.put_header(arriving, header))
        invocations = data = 0
        for page in _pages(out):
            self._require_gates(any(item.snapshot.call.gates or item.snapshot.call.flow for item in page))
            run(into.carry_in(arriving, page))
            invocations += len(page)
            self._report("carrying invocations", invocations, total)
        for values in _data_pages(out):
            run(into.data_in(arriving, values))
            data += len(values)
            self._report("carrying client data", data, data)
        self._compare(total)
        return Moved(invocations, data)

    def _require_gates(self, used: bool) -> None:
        if used and not self._target.capabilities.gates:
            raise GatesUnsupported(f"gates and flows, which {self._source.url} holds, in {self._target.url}")

    def _compare(self, total: int) -> None:
        """Make sure that the target holds what the source does."""
        out, into = self._source.transfer, self._target.transfer
        if not _is_covered(run(out.header()), run(into.header())):
            raise self._corrupted("queues or sessions differ")
        compared = 0
        left: list[Carried]
        arrived: list[Carried]
        for left, arrived in zip_longest(_pages(out), _pages(into), fillvalue=[]):
            if left != arrived:
                raise self._corrupted(f"invocation {_first_difference(left, arrived)} differs")
            compared += len(left)
            self._report("comparing", compared, total)
        for kept, came in zip_longest(_data_pages(out), _data_pages(into), fillvalue=None):
            if kept != came:
                raise self._corrupted("client data differs")

    def _corrupted(self, what: str) -> StoreCorrupted:
        return StoreCorrupted(
            f"what arrived in {self._target.url} is not what {self._source.url} holds: {what}. The source is "
            "untouched; take the move back with --abandon"
        )


def _busy(store: Backend, alive: Sequence[SessionRow]) -> StoreError:
    if not alive:
        return StoreError(f"a transaction that writes into {store.url} is open: let it end first")
    named = ", ".join(each.info.name for each in alive[:_MOST_NAMED]) + (", …" if len(alive) > _MOST_NAMED else "")
    return StoreError(
        f"{len(alive)} runners or clients use {store.url} ({named}): stop them first. Those that died count until "
        "their lease is over: --wait waits for that"
    )


def _elsewhere(store: Backend, seal: Seal) -> StoreError:
    match seal.state:
        case SealState.MOVED:
            return StoreError(f"what was in {store.url} has been moved to {seal.other} already")
        case SealState.LEAVING:
            source, target = store.url, seal.other
        case SealState.ARRIVING:
            source, target = seal.other, store.url
    return StoreError(
        f"{store.url} takes part in another move, from {source} to {target}, that is not complete: let that one "
        "finish, or take it back with --abandon"
    )


def _is_covered(left: Header, arrived: Header) -> bool:
    """Whether all is there; numbers of a target that was used before may be ahead."""
    ahead = arrived.sequence >= left.sequence and arrived.last_session >= left.last_session
    numbers = {"sequence": left.sequence, "last_session": left.last_session}
    return ahead and msgspec.structs.replace(arrived, **numbers) == left


def _first_difference(left: list[Carried], arrived: list[Carried]) -> str:
    first = next(one or other for one, other in zip_longest(left, arrived) if one != other)
    assert first is not None
    return id_text(first.snapshot.call.invocation_id)


def _pages(store: Transfer) -> Iterator[list[Carried]]:
    after: InvocationId | None = None
    while page := run(store.carry_out(after, PAGE)):
        yield page
        after = page[-1].snapshot.call.invocation_id


def _data_pages(store: Transfer) -> Iterator[list[CarriedData]]:
    after: bytes | None = None
    while page := run(store.data_out(after, DATA_PAGE)):
        yield page
        after = page[-1].key
