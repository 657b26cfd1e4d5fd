"""The same as its manual advises for long tasks: `worker_prefetch_multiplier=1` and `task_acks_late`."""

from __future__ import annotations

import mixed_celery_peer
from mixed_celery_peer import app

app.conf.update(worker_prefetch_multiplier=1, task_acks_late=True)


class Peer(mixed_celery_peer.Peer):
    module = "mixed_celery_fair_peer"
