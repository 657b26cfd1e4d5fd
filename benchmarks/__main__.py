"""`python -m benchmarks`: measure Pynenc beside its peers, then its own figures. One machine, one run.

peers     throughput and latency of Pynenc, of the bare stores and of other task systems, in turn
own       what only Pynenc is asked for
install   what pip installs
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks import blocks, record
from benchmarks.alone.measurements import APART, MEASUREMENTS, Scale
from benchmarks.bytecode import keep_bytecode
from benchmarks.catalogue import CATALOGUE, chosen
from benchmarks.comparison import Sizes, compare
from benchmarks.services import STORES, own_servers

PARTS = ("peers", "own", "install")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print it as Markdown."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    parts = arguments.parts or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        raise SystemExit(f"unknown part {', '.join(unknown)}; known are {', '.join(PARTS)}")
    found = record.Record() if arguments.json is None else record.load(arguments.json)
    keep_bytecode()
    with own_servers():
        if "peers" in parts:
            _compare(arguments, words, found)
        names = [name for name in MEASUREMENTS if name in parts or ("own" in parts and name not in APART)]
        wanted = [name for name in names if not arguments.only or name in arguments.only]
        failed = [name for name in wanted if not _measure(name, arguments, words, found)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _parser() -> argparse.ArgumentParser:
    scale = Scale()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="peers, own, install (default: all)")
    parser.add_argument("--json", type=Path, help="keep the figures in this file, beside other parts that it has")
    parser.add_argument(
        "--latencies", type=int, default=scale.round_trips, help="round trips of a series (default: %(default)s)"
    )
    beside = parser.add_argument_group("beside the peers")
    beside.add_argument("--rounds", type=int, default=3, help="of each system (default: %(default)s)")
    beside.add_argument("--tasks", type=int, default=20_000, help="of a round of a fast system (default: %(default)s)")
    beside.add_argument(
        "--systems",
        nargs="+",
        default=[],
        metavar="SYSTEM",
        help=f"default: all of {', '.join(entry.key for entry in CATALOGUE)}",
    )
    own = parser.add_argument_group("own figures")
    own.add_argument("--only", nargs="+", choices=MEASUREMENTS, help="default: all")
    own.add_argument(
        "--stores",
        nargs="+",
        choices=STORES,
        default=list(scale.stores),
        help="for latencies, batches, the long queue and growth (default: sqlite, redis, postgresql)",
    )
    own.add_argument("--queued", type=int, default=scale.queued, help="in the long queue (default: %(default)s)")
    own.add_argument("--finished", type=int, default=scale.finished, help="for growth (default: %(default)s)")
    own.add_argument("--waiting", type=int, default=scale.waiting, help="for their memory (default: %(default)s)")
    own.add_argument("--fleet", type=int, default=scale.fleet, help="idle runners (default: %(default)s)")
    own.add_argument("--batch-tasks", type=int, default=scale.tasks, help="of a size of batch (default: %(default)s)")
    own.add_argument("--watch", type=float, default=scale.watch_s, help="seconds of idleness (default: %(default)s)")
    return parser


def _compare(arguments: argparse.Namespace, words: Sequence[str], found: record.Record) -> None:
    entries = chosen(arguments.systems)
    sizes = Sizes(rounds=arguments.rounds, tasks=arguments.tasks, round_trips=arguments.latencies)
    systems = compare(entries, sizes)
    found.comparison = record.Comparison(setting=record.setting(words), systems=systems)
    _keep(arguments, found)
    for block in (blocks.compared, blocks.over_peers, blocks.aims):
        print(block(found), end="\n\n", flush=True)


def _measure(name: str, arguments: argparse.Namespace, words: Sequence[str], found: record.Record) -> bool:
    """Return whether it could be measured; if not, say so: the others go on."""
    scale = Scale(
        stores=arguments.stores,
        queued=arguments.queued,
        finished=arguments.finished,
        waiting=arguments.waiting,
        fleet=arguments.fleet,
        watch_s=arguments.watch,
        round_trips=arguments.latencies,
        tasks=arguments.batch_tasks,
    )
    try:
        measured = MEASUREMENTS[name](scale)
    except Exception:  # noqa: BLE001 - whatever one measurement meets, the others are taken
        print(f"{name} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        return False
    taken = record.Taken(setting=record.setting(words), measured=measured)
    found.alone[name] = taken
    _keep(arguments, found)
    print(blocks.found(name, record.Record(alone={name: taken})), end="\n\n", flush=True)
    return True


def _keep(arguments: argparse.Namespace, found: record.Record) -> None:
    if arguments.json is not None:
        record.save(found, arguments.json)


if __name__ == "__main__":
    # Whoever ends it ends the servers and runners as well.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    main()
