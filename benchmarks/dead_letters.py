"""How long a million dead letters take to find and requeue, and in how much memory.

    python -m benchmarks.dead_letters sqlite redis postgresql --number 1000000

Every second one is in the queue that is asked for. They are made through the ports, requeued through the app.
"""

from __future__ import annotations

import argparse
import resource
import time

from benchmarks.alone.places import NAMES, bench_client, fresh_store
from pynenc import Pynenc
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Exchange, Failure, SessionInfo, SessionKind, Submission

_BATCH = 1_000
_LEASE_US = 3_600_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", choices=NAMES)
    parser.add_argument("--number", type=int, default=1_000_000)
    options = parser.parse_args()
    for store in options.stores:
        with fresh_store(store) as url, bench_client(url) as app:
            _bury(app, options.number)
            print(f"{NAMES[store]}: {_requeue(app, options.number)}", flush=True)


def _bury(app: Pynenc, number: int) -> None:
    """Have so many fail, in two queues by turns."""
    orchestrator = app.control
    info = SessionInfo(kind=SessionKind.RUNNER, name="dead letters", host="", pid=0)
    session = run(orchestrator.open_session(info, lease_us=_LEASE_US))
    for _ in range(number // _BATCH):
        run(orchestrator.submit([_submission("mail" if each % 2 else "other") for each in range(_BATCH)]))
        claims = run(orchestrator.exchange(Exchange(session=session, want=_BATCH))).claims
        failed = tuple(
            [Failure(invocation_id=c.invocation_id, epoch=c.epoch, error=b"", reason="by design") for c in claims]
        )
        run(orchestrator.exchange(Exchange(session=session, completions=failed)))
    run(orchestrator.close_session(session))


def _submission(queue: str) -> Submission:
    return Submission(invocation_id=new_invocation_id(), task_id="bench", arguments=b"a" * 200, queue=queue)


def _requeue(app: Pynenc, number: int) -> str:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    requeued = app.dead_letters(queue="mail").requeue()
    took_s = time.perf_counter() - begun
    assert requeued == number // 2, f"{requeued} were requeued"
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    return (
        f"{requeued:,} of {number:,} dead letters requeued in {took_s:.0f} s, {requeued / took_s:,.0f} a second; "
        f"memory grew by {grown_mib:.1f} MiB at most"
    )


if __name__ == "__main__":
    main()
