"""Take the census, kill a worker half-way, check that nothing is missing, and report.

    python -m examples.census [--processes N] [--report FILE] [--package NAME …]

The store is the app's own (an SQLite file in .pynenc/), or the one that PYNENC_URL names.
Exit code 1: the result differs from a plain run's, or an invocation is missing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from examples.census.counting import Census
from examples.census.live import Bar, progress_bar
from examples.census.report import Facts, write_report
from examples.census.sources import Package, file_count, library_packages
from examples.census.summary import summarize
from examples.census.tasks import app, census_file, census_package, plain_census, take_census
from examples.census.trace import Recorded, Trace, build_trace
from examples.census.workers import kill_a_worker, runner_process
from pynenc import BaseInvocation, InvocationStatus

_LOOK_EVERY_S = 0.1

Kill = tuple[int, datetime]


def main() -> int:
    options = _options()
    packages = [each for each in library_packages() if not options.package or each.name in options.package]
    processes: int = options.processes
    print(f"{file_count(packages):,} files in {len(packages)} packages, {processes} worker processes, {_store()}")
    with runner_process(processes) as runner:
        begin = time.monotonic()
        census = take_census(packages)
        kills = watch(census, file_count(packages), runner)
        counted = census.result
        seconds = time.monotonic() - begin
    print("checking against a plain run in one thread …", flush=True)
    begin = time.monotonic()
    plain = plain_census(packages)
    facts = Facts(
        counted, trace_of(census, kills), plain == counted, seconds, time.monotonic() - begin, processes, _store()
    )
    print("\n" + summarize(facts, plain.totals))
    print(f"\nreport: {write_report(facts, options.report)}")
    return 0 if facts.equal and facts.invocations == file_count(packages) + len(packages) + 2 else 1


def watch(census: BaseInvocation[..., Census], total: int, runner: subprocess.Popen[bytes]) -> list[Kill]:
    """Show progress until the census ends, and kill a worker process half-way.

    Raises:
        SystemExit: the runner itself ended; nobody would do the work.
    """
    earlier = _files_done()
    kills: list[Kill] = []
    with progress_bar(total) as bar:
        while not census.wait(_LOOK_EVERY_S):
            if runner.poll() is not None:
                raise SystemExit(f"the runner ended with exit code {runner.returncode}; {census.why()}")
            done = _files_done() - earlier
            bar.show(done)
            if not kills and done >= total / 2:
                kills += _kill(bar, runner.pid)
        bar.show(_files_done() - earlier)
    return kills


def _kill(bar: Bar, runner_pid: int) -> list[Kill]:
    kill = kill_a_worker(runner_pid)
    if kill is None:
        return []
    bar.say(f"half-way: kill -9 {kill[0]}, a worker process in the middle of its work")
    return [kill]


def trace_of(census: BaseInvocation[..., Any], kills: list[Kill]) -> Trace:
    """Read from the store what every invocation of the census went through."""
    return build_trace(_recorded(census, "take_census", ""), kills)


def _recorded(invocation: BaseInvocation[..., Any], label: str, group: str) -> Iterator[Recorded]:
    yield Recorded(invocation.invocation_id, label, group, invocation.history)
    for child in invocation.children:
        if child.task.task_id == census_file.task_id:
            yield Recorded(child.invocation_id, child.arguments.kwargs["path"], group, child.history)
        elif child.task.task_id == census_package.task_id:
            package: Package = child.arguments.kwargs["package"]
            yield from _recorded(child, f"package {package.name}", package.name)
        else:
            yield from _recorded(child, child.task.func.__name__, group)


def _files_done() -> int:
    return app.orchestrator.count_invocations(census_file.task_id, [InvocationStatus.SUCCESS])


def _store() -> str:
    return app.conf.url.partition("@")[2] or app.conf.url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.census", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--processes", type=int, default=max(4, os.cpu_count() or 1), help="worker processes (at least 2)"
    )
    parser.add_argument("--report", type=Path, default=Path(".pynenc/census.html"), help="where the HTML report goes")
    parser.add_argument("--package", action="append", help="count only this package; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
