"""What comes after others: whether it may run, has to wait, or never will."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from pynenc.model.ids import InvocationId, id_text
from pynenc.model.records import AfterPolicy, Submission
from pynenc.model.status import InvocationStatus


class Outlook(Struct, frozen=True):
    """How a new invocation stands to those it comes after."""

    awaited: tuple[InvocationId, ...]
    """Those it waits for, in order; () if it need not wait."""
    need: int
    """So many of them have to end as it wants."""
    broken: str = ""
    """Why it will never run; "" if it may."""


def outlook(item: Submission, ended: Mapping[InvocationId, InvocationStatus]) -> Outlook:
    """Return how `item` stands.

    Args:
        ended: how those ended that it comes after and that are final.
    """
    after = tuple(dict.fromkeys(item.after))
    awaited = tuple(each for each in after if each not in ended)
    unwanted = [each for each in after if each in ended and not counts(item.after_policy, ended[each])]
    missing = needed(item.after_need, len(after)) - (len(after) - len(awaited) - len(unwanted))
    if missing > len(awaited):
        return Outlook((), 0, why_broken(unwanted[0], ended[unwanted[0]]))
    return Outlook(awaited, missing) if missing > 0 else Outlook((), 0)


def needed(wanted: int, known: int) -> int:
    """Return how many of `known` have to be there if `wanted` are asked for; 0 asks for all."""
    return min(wanted, known) or known


def counts(policy: AfterPolicy, status: InvocationStatus) -> bool:
    """Whether somebody ended as one that comes after it wants."""
    return policy is AfterPolicy.ALL_DONE or status is InvocationStatus.SUCCESS


def fallen_status(policy: AfterPolicy) -> InvocationStatus:
    """Return how one ends that cannot run any more because of those it comes after."""
    return InvocationStatus.FAILED if policy is AfterPolicy.SUCCEEDED_OR_FAIL else InvocationStatus.CANCELLED


def why_broken(dependency: InvocationId, status: InvocationStatus) -> str:
    """Return the reason that its outcome gives."""
    return f"dependency {id_text(dependency)} ended {status.value}"
