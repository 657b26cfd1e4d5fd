"""Metrics for Prometheus. Needs `pynenc[prometheus]`.

    app.add_middleware("prometheus")

What happens is counted where it happens: submissions where calls are made, everything about runs in the control loop
of the runner, which hears of each claim, start and end; so one endpoint of a runner tells of all its worker processes.
How deep queues are is asked of the store when somebody looks.

The metrics are in a registry of prometheus-client, by default its own: whatever page a program serves from that shows
them. A runner serves one with `pynenc runner start --metrics-port`; other programs with `Prometheus.serve`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import Collector
except ModuleNotFoundError as missing:
    from pynenc.errors import ConfigurationError

    raise ConfigurationError("metrics need prometheus-client: pip install 'pynenc[prometheus]'") from missing

from pynenc.errors import CarrierFull, ConfigurationError
from pynenc.io import run as perform
from pynenc.middleware import (
    ClaimedRun,
    ClaimEvent,
    Ending,
    Middleware,
    RelayedCall,
    RelayEvent,
    SettleEvent,
    SubmitEvent,
    SubmittedCall,
)

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.model.records import QueueStats

T = TypeVar("T", Counter, Gauge, Histogram)

READY = "pynenc.ready"
"""Under this key travels when a call may run, in seconds since the Unix epoch by the clock of who made it."""

OTHER = "other"
_LONGEST_WAIT_S = 1e9
_BODY_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0)
_STORE_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_FINAL = (Ending.SUCCESS, Ending.FAILED, Ending.CANCELLED)


class Families:
    """The metrics of one registry; all apps of a process share them, told apart by the label `app`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        by_task = ("app", "task", "queue")

        def counter(name: str, meaning: str, labels: tuple[str, ...] = by_task) -> Counter:
            return Counter(f"pynenc_{name}", meaning, labels, registry=registry)

        self.submitted = counter("submitted", "Calls that became invocations.")
        self.refused = counter("submit_errors", "Submissions that failed or were refused.", ("app",))
        self.claimed = counter("claimed", "Runs that this runner claimed.")
        self.started = counter("started", "Runs whose body began.")
        self.finished = counter("finished", "Invocations that a run of this runner ended.", (*by_task, "status"))
        self.retries = counter("retries", "Attempts that failed and are followed by another one.")
        self.crashes = counter("crashes", "Runs that were lost with their worker.")
        self.released = counter("released", "Runs that were handed back unfinished.")
        self.superseded = counter("superseded", "Ends that the store refused: others run it again.")
        self.store_errors = counter("store_errors", "Exchanges with the store that failed.", ("app", "operation"))
        self.run_seconds = Histogram(
            "pynenc_run_seconds", "How long runs took.", ("app", "task"), buckets=_BODY_BUCKETS, registry=registry
        )
        self.queue_seconds = Histogram(
            "pynenc_queue_wait_seconds",
            "From when a call might run to its first claim.",
            ("app", "queue"),
            buckets=_BODY_BUCKETS,
            registry=registry,
        )
        self.store_seconds = Histogram(
            "pynenc_store_seconds",
            "Round trips to the store.",
            ("app", "operation"),
            buckets=_STORE_BUCKETS,
            registry=registry,
        )
        self.slots = Gauge(
            "pynenc_runner_slots", "Bodies that this runner can run at once.", ("app",), registry=registry
        )
        self.in_hand = Gauge(
            "pynenc_runner_runs",
            "Runs that this runner has claimed and not settled.",
            ("app", "state"),
            registry=registry,
        )
        self.queues = QueueCollector()
        registry.register(self.queues)


class Prometheus(Middleware):
    """Counts, measures, and serves what it counted.

    Args:
        registry: of prometheus-client, where the metrics are.
        queues: whether depths of queues are told: None: where a runner of the app has run in this process; True:
            always, for an exporter without a runner; False: never.
        most_tasks: so many tasks, and as many queues, get a label of their own; the rest are `other`.
        stats_age_s: depths are asked of the store again only when older than this, in seconds.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry = REGISTRY,
        queues: bool | None = None,
        most_tasks: int = 200,
        stats_age_s: float = 1.0,
    ) -> None:
        self._registry = registry
        self._queues = queues
        self._stats_age_s = stats_age_s
        self._families = families_of(registry)
        self._tasks = Labels(most_tasks)
        self._queue_names = Labels(most_tasks)
        self._apps: WeakSet[Pynenc] = WeakSet()
        self._children: dict[tuple[object, tuple[str, ...]], Any] = {}
        self._unfinished = {Ending.RETRY: self._families.retries, Ending.CRASHED: self._families.crashes}

    def attach(self, app: Pynenc) -> None:
        self._apps.add(app)
        if self._queues:
            self._families.queues.add(app, self._queue_names, self._stats_age_s)

    # --- serving ---

    def page(self) -> tuple[bytes, str]:
        """Return all metrics of the registry as Prometheus reads them, and the content type of that."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    @contextmanager
    def serve(self, port: int, host: str = "127.0.0.1") -> Iterator[int]:
        """Serve the metrics at `/metrics` for the length of a block; yields the port, which 0 lets the system choose.

        Raises:
            ConfigurationError: nobody can listen there.
        """
        try:
            server, thread = start_http_server(port, host, self._registry)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"metrics cannot be served at {host}:{port}: {error}") from error
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    # --- submitting ---

    def before_submit(self, submit: SubmitEvent) -> None:
        now_s = time.time()
        for call in submit.calls:
            if not call.comes_after:
                try:
                    call.carry(READY, f"{now_s + call.delay_s:.6f}")
                except CarrierFull:
                    # The call matters, its measurement does not.
                    break
        submit.state[self] = time.perf_counter()

    def after_submit(self, submit: SubmitEvent) -> None:
        app = submit.app.app_id
        took_s = time.perf_counter() - submit.state.pop(self)
        if submit.error is not None:
            self._families.refused.labels(app).inc()
            return
        self._count_submitted(app, submit.calls, took_s)

    def after_relay(self, relay: RelayEvent) -> None:
        self._count_submitted(relay.app_id, relay.calls, relay.took_s)

    def _count_submitted(self, app: str, calls: Iterable[SubmittedCall | RelayedCall], took_s: float) -> None:
        self._child(self._families.store_seconds, app, "submit").observe(took_s)
        tally = Tally()
        for call in calls:
            if not call.reused:
                labels = app, self._tasks.of(call.task_id), self._queue_names.of(call.queue)
                tally.count(self._families.submitted, labels)
        self._add(tally)

    # --- in the control loop ---

    def after_claim(self, claim: ClaimEvent) -> None:
        found, app = self._families, claim.app_id
        if claim.error is not None:
            found.store_errors.labels(app, "exchange").inc()
            return
        self._child(found.store_seconds, app, "exchange").observe(claim.took_s)
        self._child(found.slots, app).set(claim.slots)
        self._child(found.in_hand, app, "active").set(claim.in_hand - claim.waiting)
        self._child(found.in_hand, app, "waiting").set(claim.waiting)
        if claim.runs:
            tally = Tally()
            for run in claim.runs:
                tally.count(found.claimed, self._labels(app, run))
                waited_s = _waited_s(run)
                if waited_s is not None:
                    self._child(found.queue_seconds, app, self._queue_names.of(run.queue)).observe(waited_s)
            self._add(tally)
        if self._queues is None:
            self._tell_queues(app)

    def _tell_queues(self, app_id: str) -> None:
        for app in self._apps:
            if app.app_id == app_id:
                self._families.queues.add(app, self._queue_names, self._stats_age_s)

    def after_settle(self, settle: SettleEvent) -> None:
        if settle.error is not None:
            return
        found, tally = self._families, Tally()
        for run in settle.started:
            tally.count(found.started, self._labels(settle.app_id, run))
        for end in settle.ends:
            labels = self._labels(settle.app_id, end.run)
            if not end.accepted:
                tally.count(found.superseded, labels)
                continue
            if end.ending in _FINAL:
                tally.count(found.finished, (*labels, end.ending.value))
            else:
                tally.count(self._unfinished.get(end.ending, found.released), labels)
            if end.ran_s > 0:
                self._child(found.run_seconds, *labels[:2]).observe(end.ran_s)
        self._add(tally)

    def _add(self, tally: Tally) -> None:
        for (metric, labels), count in tally.counts.items():
            self._child(metric, *labels).inc(count)

    def _child(self, metric: T, *labels: str) -> T:
        """Return the metric with these labels: looking it up in the library takes as long as counting."""
        child = self._children.get((metric, labels))
        if child is None:
            child = self._children[metric, labels] = metric.labels(*labels)
        return child

    def _labels(self, app: str, run: ClaimedRun) -> tuple[str, str, str]:
        return app, self._tasks.of(run.task_id), self._queue_names.of(run.queue)


def _waited_s(run: ClaimedRun) -> float | None:
    """Return how long a run waited for its first claim; None if that is not known."""
    stamp = run.carrier.get(READY)
    if stamp is None or run.attempt > 1 or run.crashes:
        return None
    try:
        waited_s = time.time() - float(stamp)
    except ValueError:
        return None
    # Two clocks: what seems to be negative took no time. A stamp that nobody's clock can show is made up.
    return max(0.0, waited_s) if math.isfinite(waited_s) and abs(waited_s) < _LONGEST_WAIT_S else None


class Tally:
    """Counts of one exchange, added to the metrics at once."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[tuple[Counter, tuple[str, ...]], int] = {}

    def count(self, metric: Counter, labels: tuple[str, ...]) -> None:
        key = metric, labels
        self.counts[key] = self.counts.get(key, 0) + 1


class Labels:
    """Values of a label, a bounded number of them: whoever can submit can make up names of tasks and queues."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """Return the label for a value: itself, as long as there is room."""
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


class QueueCollector(Collector):
    """Asks the stores of apps about their queues when somebody looks. A store that does not answer is `up` 0."""

    def __init__(self) -> None:
        self._apps: WeakKeyDictionary[Pynenc, tuple[Labels, float]] = WeakKeyDictionary()
        self._asked: WeakKeyDictionary[Pynenc, tuple[float, list[QueueStats] | None]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def add(self, app: Pynenc, labels: Labels, age_s: float) -> None:
        """Tell of the queues of an app from now on."""
        if app not in self._apps:
            self._apps[app] = labels, age_s

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of a store before somebody looks."""
        return []

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("pynenc_store_up", "Whether the store answered.", labels=["app"])
        depth = GaugeMetricFamily("pynenc_queue_depth", "Invocations of a queue.", labels=["app", "queue", "state"])
        oldest = GaugeMetricFamily(
            "pynenc_queue_oldest_seconds", "How long the oldest ready one waits.", labels=["app", "queue"]
        )
        paused = GaugeMetricFamily("pynenc_queue_paused", "Whether the queue is paused.", labels=["app", "queue"])
        runners = GaugeMetricFamily("pynenc_queue_runners", "Runners that serve it.", labels=["app", "queue"])
        for app, (labels, age_s) in list(self._apps.items()):
            stats = self._stats(app, age_s)
            up.add_metric([app.app_id], stats is not None)
            now_us = time.time() * 1e6
            for each in stats or ():
                queue = labels.of(each.queue)
                if queue == OTHER:
                    continue
                for state, count in (
                    ("ready", each.ready),
                    ("blocked", each.blocked),
                    ("delayed", each.delayed),
                    ("running", each.running),
                    ("waiting", each.suspended),
                ):
                    depth.add_metric([app.app_id, queue, state], count)
                age_us = 0.0 if each.oldest_ready_at_us is None else max(0.0, now_us - each.oldest_ready_at_us)
                oldest.add_metric([app.app_id, queue], age_us / 1e6)
                paused.add_metric([app.app_id, queue], each.paused)
                runners.add_metric([app.app_id, queue], each.listeners)
        return [up, depth, oldest, paused, runners]

    def _stats(self, app: Pynenc, age_s: float) -> list[QueueStats] | None:
        """Return what the store says, or said a moment ago; None if it does not answer."""
        with self._lock:
            asked = self._asked.get(app)
            if asked is not None and time.monotonic() - asked[0] < age_s:
                return asked[1]
            try:
                stats: list[QueueStats] | None = perform(app.control.queue_stats())
            except Exception:  # noqa: BLE001 - a page without depths is better than none
                stats = None
            self._asked[app] = time.monotonic(), stats
            return stats


_families: WeakKeyDictionary[CollectorRegistry, Families] = WeakKeyDictionary()
_families_lock = threading.Lock()


def families_of(registry: CollectorRegistry) -> Families:
    """Return the metrics of a registry; made when first asked for, because a registry takes each name once."""
    with _families_lock:
        found = _families.get(registry)
        if found is None:
            found = _families[registry] = Families(registry)
        return found


def exporter_of(app: Pynenc) -> Prometheus:
    """Return metrics that tell of the queues of an app and of nothing else."""
    exporter = Prometheus(registry=CollectorRegistry(), queues=True)
    exporter.attach(app)
    return exporter
