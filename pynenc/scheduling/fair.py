"""Fair share: each tenant with work gets starts in proportion to its weight, however much others have queued."""

from __future__ import annotations

from pynenc.scheduling.fifo import FifoScheduler


class FairScheduler(FifoScheduler):
    """The calls of one `share_key` in the order of their submission; between keys, starts by weight.

    The store decides: a key that had nothing queued takes part from now on and has saved up nothing. A task without
    `share_key` shares as one tenant of its own.
    """

    name = "fair"

    def shares(self, queue: str) -> bool:
        return True
