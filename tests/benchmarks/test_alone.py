"""Own figures, small: what is counted is really there."""

from __future__ import annotations

from pathlib import Path

from benchmarks.alone.batches import SIZES, batches
from benchmarks.alone.footprint import footprint
from benchmarks.alone.growth import growth
from benchmarks.alone.long_queue import long_queue
from benchmarks.alone.places import fresh_backend
from benchmarks.peers.mixed import LONG_S, SHORT_S, ideal_s, lengths
from benchmarks.services import fresh_url
from benchmarks.systems.bare_store import BareStore
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Submission


def test_a_footprint_sees_what_a_task_leaves() -> None:
    with fresh_backend("sqlite") as (url, backend):
        run(backend.migrate())
        before = footprint("sqlite", url)

        run(backend.orchestrator.submit([Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"")]))

        grown = footprint("sqlite", url).grown(before)
    assert grown
    assert all(number == 1 for number in grown.values())


def test_a_claim_is_timed_while_the_queue_is_short_and_long() -> None:
    [ratio] = long_queue(["sqlite"], 1_500).figures

    assert ratio.value > 0
    assert ratio.what.startswith("SQLite: claim of 10 with 1,500 queued")


def test_finished_tasks_leave_nothing() -> None:
    rows, used = growth(["sqlite"], 1_500).figures

    assert (rows.value, rows.at_most) == (0, 0)
    assert used.value <= 1.05


def test_the_bare_store_completes_what_it_submits(tmp_path: Path) -> None:
    bare = BareStore("sqlite")
    bare.open(fresh_url("sqlite", tmp_path, "bare"))

    bare.run_all(250)
    times = bare.round_trips(3, pause_s=0.0)
    bare.stop()

    assert len(times) == 3


def test_throughput_is_measured_over_every_size_of_batch() -> None:
    measured = batches(["sqlite"], 50)

    assert [series.plot for series in measured.series] == ["end to end", "submitted", "completed and claimed"]
    assert all([size for size, _ in series.points] == list(SIZES) for series in measured.series)
    assert all(rate > 0 for series in measured.series for _, rate in series.points)


def test_every_system_gets_the_same_mixed_load() -> None:
    each = lengths(200)

    assert each == lengths(200)
    assert (each.count(LONG_S), each.count(SHORT_S)) == (20, 180)
    assert each != sorted(each)


def test_the_ideal_schedule_keeps_every_slot_busy_to_the_end() -> None:
    assert ideal_s([0.5] * 4 + [0.001] * 4) == 0.501
    assert ideal_s([0.5] * 5) == 1.0
