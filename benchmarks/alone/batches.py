"""Throughput over the size of a batch: of `parallelize` from end to end, and of the store alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from benchmarks.alone.places import NAMES, bench_client, fresh_backend, fresh_store, runners
from benchmarks.noop_app import echo
from benchmarks.record import Measured, Series
from benchmarks.store_loop import Bench

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
END_TO_END, SUBMITTED, COMPLETED = "end to end", "submitted", "completed and claimed"
_PAYLOAD = 200
_FEWEST = 1_000
_BATCHES = 200
"""A small size is measured with so many batches: its throughput is too low for more."""


def batches(stores: Sequence[str], tasks: int) -> Measured:
    """Measure every size on every store, with at most so many tasks each."""
    numbers = {size: min(tasks, max(_FEWEST, size * _BATCHES)) for size in SIZES}
    measured = Measured()
    for store in stores:
        whole = _end_to_end(store, numbers)
        rates = {size: _alone(store, size, number) for size, number in numbers.items()}
        submitted = [(float(size), rate) for size, (rate, _) in rates.items()]
        completed = [(float(size), rate) for size, (_, rate) in rates.items()]
        for plot, points in ((END_TO_END, whole), (SUBMITTED, submitted), (COMPLETED, completed)):
            measured.series.append(Series(plot=plot, name=NAMES[store], points=points))
    return measured


def _end_to_end(store: str, numbers: Mapping[int, int]) -> list[tuple[float, float]]:
    with fresh_store(store) as url, bench_client(url), runners(url, workers=2):
        _ = echo(1).result
        return [(float(size), _rate(size, number)) for size, number in numbers.items()]


def _rate(size: int, number: int) -> float:
    task = echo.options(parallel_batch_size=size)
    begin = time.perf_counter()
    received = sum(task.parallelize((value,) for value in range(number)).results)
    taken = time.perf_counter() - begin
    assert received == sum(range(number)), "a result is missing"
    return number / taken


def _alone(store: str, size: int, number: int) -> tuple[float, float]:
    with fresh_backend(store) as (_, backend):
        bench = Bench(backend, _PAYLOAD)
        session = bench.reset()
        submitted = number / bench.submit(number, size)
        completed, seconds = bench.drain(session, size)
    assert completed == number, f"{number} were submitted, {completed} came back"
    return submitted, completed / seconds
