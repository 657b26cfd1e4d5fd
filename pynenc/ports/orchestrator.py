"""The control store: who owns what, what runs next, who waits for whom."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pynenc.errors import GatesUnsupported
from pynenc.io import Op
from pynenc.model.gates import GateSetting
from pynenc.model.ids import InvocationId, SessionId
from pynenc.model.records import (
    CancelReply,
    ClaimIdReply,
    Exchange,
    ExchangeReply,
    Owned,
    QueueStats,
    SessionInfo,
    SessionRow,
    Standing,
    Submission,
    SubmitReply,
    TickReply,
    Violation,
    WatchReply,
)
from pynenc.ports.doorbell import Doorbell

if TYPE_CHECKING:
    from pynenc.ports.loop_doorbell import Heard, LoopDoorbell


class Orchestrator(Protocol):
    """Keeps the control record of every live invocation and applies every transition as one atomic unit.

    For every operation: all of it happens or none; a crash of the caller at any point leaves a state
    from which any session can go on. Times are by the store's clock. Every write in the name of an
    invocation's owner is fenced by (session, epoch). After `StoreUnavailable` the operation may or may not
    have happened: submissions, completions and cancellations may simply be repeated; claims that got lost
    with a reply are found with `list_owned`.
    """

    # --- sessions ---

    @abstractmethod
    def open_session(self, info: SessionInfo, *, lease_us: int) -> Op[SessionId]:
        """Register a process incarnation. The number is never handed out again.

        The session ends `lease_us` after its last `exchange` unless it is closed before.
        """

    @abstractmethod
    def close_session(self, session: SessionId) -> Op[None]:
        """End a session in good order: what it still owns is READY again at once, uncounted.

        Closing an ended or unknown session does nothing.
        """

    @abstractmethod
    def list_sessions(self, *, live_only: bool = True) -> Op[list[SessionRow]]:
        """Return the sessions by number; ended ones are kept as long as history names them."""

    @abstractmethod
    def doorbell(self) -> Doorbell:
        """Return a new bell of this process. Its address goes into `SessionInfo.doorbell`."""

    def doorbell_on_loop(self, heard: Heard) -> LoopDoorbell:
        """Return a new bell of the running event loop, for a session that only watches.

        A store whose `doorbell` needs a thread to be rung offers one here that needs none.

        Args:
            heard: called on the loop for every ring.
        """
        from pynenc.ports.loop_doorbell import DescriptorOnLoop

        return DescriptorOnLoop(self.doorbell(), heard)

    # --- the hot path ---

    @abstractmethod
    def submit(self, items: Sequence[Submission]) -> Op[list[SubmitReply]]:
        """Create invocations; one reply each, in order. Idempotent by id.

        Items are applied in order within one atomic unit, so later ones see earlier ones (`after`, dedupe).
        An item whose dedupe key is held answers DEDUPED with the holder's id, or as its `DedupeMode` says. At most as
        many sleeping sessions are woken as there are new runnable invocations.

        Raises:
            InvalidGate: a gate or flow has a number out of its bounds; nothing was created.
            GatesUnsupported: this store cannot keep what an item asks for; nothing was created.
        """

    @abstractmethod
    def exchange(self, request: Exchange) -> Op[ExchangeReply]:
        """Renew, settle, report, tick, claim, fetch messages: see `Exchange`.

        Raises:
            SessionGone: the session expired and was recovered, or was closed. Nothing was applied; what it owned
                belongs to others now.
        """

    @abstractmethod
    def claim_ids(
        self, session: SessionId, ids: Sequence[InvocationId], *, queues: Sequence[str] = (), most: int | None = None
    ) -> Op[list[ClaimIdReply]]:
        """Claim these invocations if they are READY without an owner; same effects as a claim by queue.

        One before a closed gate is BUSY; so is one with an ordering key (`block_lane_on_retry`) while another comes
        before it in its lane.

        Args:
            queues: those to claim from, () for every queue of Python; what is in another one is NOT_READY here.
            most: stop once so many are claimed; at least 1, None for no limit.

        Returns:
            One reply for each id that was looked at, in order: for all of them unless `most` ended it.

        Raises:
            SessionGone: as in `exchange`.
        """

    @abstractmethod
    def list_owned(self, session: SessionId) -> Op[list[Owned]]:
        """Return what the session owns, ordered by id. Empty for an ended session."""

    # --- waiting and steering ---

    @abstractmethod
    def watch(self, session: SessionId, ids: Sequence[InvocationId]) -> Op[WatchReply]:
        """Return outcomes of final invocations and have those of the others sent to the session's inbox.

        Check and registration are one unit: no end is missed, none is delivered twice for one registration.

        Raises:
            SessionGone: as in `exchange`.
        """

    @abstractmethod
    def cancel(self, ids: Sequence[InvocationId], *, tree: bool = False, detail: str = "") -> Op[list[CancelReply]]:
        """Cancel invocations; with `tree` also everything submitted below them, at any depth.

        BLOCKED, READY and SUSPENDED ones end CANCELLED at once with `detail` as reason (for a suspended or
        resumable one its owner gets a `CancelNotice`, to drop the stack). OWNED ones are flagged and the owner
        is told; they end as the owner answers, and CANCELLED if it is lost or releases them. One reply per id
        given, then per descendant, ordered by id.
        """

    @abstractmethod
    def pause(self, queue: str, *, by: str = "", reason: str = "") -> Op[None]:
        """Stop claims of new work from `queue`; what runs or waits goes on.

        Repeating changes nothing: who paused it first, when and why stays noted until `resume`.
        """

    @abstractmethod
    def resume(self, queue: str) -> Op[None]:
        """Undo `pause` and wake sleepers."""

    def put_gate(self, setting: GateSetting) -> Op[None]:
        """Set limit, rate or weight of a gate or flow, from now on and whatever submissions say. Repeating changes
        nothing. What is inside stays inside; a limit below their number stops new claims only.

        Raises:
            InvalidGate: a number is out of its bounds.
            GatesUnsupported: this store has no gates.
        """
        raise GatesUnsupported("gates (limits, rates and weights)")

    def clear_gate(self, name: str) -> Op[bool]:
        """Let submissions decide again about the gate or flow of this name (`slots:KEY`, `rate:KEY`, `flow:KEY`).

        Returns:
            Whether something was set.
        """
        raise GatesUnsupported("gates (limits, rates and weights)")

    def list_gates(self) -> Op[list[GateSetting]]:
        """Return everything that was set with `put_gate`, by name."""
        raise GatesUnsupported("gates (limits, rates and weights)")

    @abstractmethod
    def requeue(self, ids: Sequence[InvocationId]) -> Op[list[InvocationId]]:
        """Put final invocations back to READY (reason REQUEUED); return those that were. The old outcome moves to
        the attempts, the epoch goes on, attempt and crashes start anew, expiry and dependencies do not apply."""

    @abstractmethod
    def tick(self, *, budget: int) -> Op[TickReply]:
        """Do what is due: promote delayed work, expire, end waits, recover expired sessions, drop retained
        outcomes. Any process may call it at any time; each thing happens once."""

    # --- insight ---

    @abstractmethod
    def explain(self, invocation_id: InvocationId) -> Op[Standing | None]:
        """Return the facts that decide about this invocation, from one consistent read; None if unknown."""

    @abstractmethod
    def queue_stats(self) -> Op[list[QueueStats]]:
        """Return one row per queue that was ever used or is paused, by name."""

    @abstractmethod
    def verify(self, *, repair: bool = False) -> Op[list[Violation]]:
        """Check the structural invariants I1-I8; with `repair` rebuild what is derivable from the records."""
