"""`pynenc runner`: start a runner, show what it would be."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.metrics import serving_metrics
from pynenc.errors import ConfigurationError

if TYPE_CHECKING:
    from pynenc.app import Pynenc

KINDS = {
    "thread": "ThreadRunner",
    "process": "PersistentProcessRunner",
    "async": "AsyncRunner",
    "hybrid": "HybridRunner",
}


def _range(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read a number, or two with a colon between."""
    if value is None:
        return None
    least, colon, most = value.partition(":")
    try:
        found = int(least), int(most if colon else least)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor two of them, as in 2:8") from None
    if not 1 <= found[0] <= found[1]:
        raise click.BadParameter(f"{value!r}: at least 1, and the first no more than the second")
    return found


@click.group()
def runner() -> None:
    """Execute invocations."""


@runner.command()
@click.option(
    "--runner",
    "kind",
    help="thread, process, async, hybrid, or a class name.  [default: the app's runner_cls, else process]",
)
@click.option("--concurrency", type=click.IntRange(1), help="Bodies at once; of a hybrid runner, in each process.")
@click.option(
    "--processes", callback=_range, metavar="N", help="Worker processes: a number, or LEAST:MOST to scale by load."
)
@click.option(
    "--mode", type=click.Choice(["threads", "asyncio"]), help="How each process of a hybrid runner runs its bodies."
)
@click.option(
    "--queues", help="Queues to serve, separated by commas; all by default. mail:2 runs at most two of mail at once."
)
@click.option("--reload", "reloads", is_flag=True, help="Start anew when a Python file below this folder changes.")
@click.option(
    "--drain-timeout",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Seconds for bodies to end on SIGTERM.",
)
@click.option("--health-port", type=click.IntRange(0, 65_535), help="Serve /livez and /readyz there.")
@click.option("--health-host", help="Address to serve them at.  [default: health_host, else 127.0.0.1]")
@click.option("--alive-file", type=click.Path(dir_okay=False), help="Touch this file every second while alive.")
@click.option("--metrics-port", type=click.IntRange(0, 65_535), help="Serve /metrics for Prometheus there.")
@click.option("--metrics-host", help="Address to serve it at.  [default: metrics_host, else 127.0.0.1]")
@with_state
def start(
    state: State,
    kind: str | None,
    concurrency: int | None,
    processes: tuple[int, int] | None,
    mode: str | None,
    queues: str | None,
    reloads: bool,
    drain_timeout: float,
    health_port: int | None,
    health_host: str | None,
    alive_file: str | None,
    metrics_port: int | None,
    metrics_host: str | None,
) -> None:
    """Run invocations until SIGTERM or SIGINT; a second signal kills.

    On the first signal nothing more is claimed, what has not started is handed back, and bodies get the drain timeout;
    what has not ended then is handed to other runners.

    \b
    Exit codes besides those of every command:
      0         drained, whether all bodies ended or some were handed over
      130, 143  killed by a second SIGINT or SIGTERM
    """
    if reloads:
        from pynenc.cli.reloading import run_with_reload

        sys.exit(run_with_reload([argument for argument in sys.argv[1:] if argument != "--reload"]))
    from pynenc.runners.signals import exit_code_of, exits_when_told

    with exits_when_told():
        app = state.app()
        _refuse_private_store(app)
        choose_runner(app, kind)
        size_runner(app, concurrency=concurrency, processes=processes, mode=mode)
        if queues is not None:
            choose_queues(app, queues)
        _set_given(app, health_port=health_port, health_host=health_host, alive_file=alive_file)
        _configure_logging(app, verbose=state.verbose)
        _announce(state, app)
        with serving_metrics(app, metrics_port, metrics_host):
            app.runner.run(drain_timeout=drain_timeout)
        killed_by = app.runner.killed_by
    if killed_by is not None:
        sys.exit(exit_code_of(killed_by))


def _set_given(app: Pynenc, **values: object) -> None:
    """Let what the command line says win over every other source."""
    for name, value in values.items():
        if value is not None:
            setattr(app.conf, name, value)


def choose_runner(app: Pynenc, kind: str | None) -> None:
    """Let the app run with the runner named; without a name with the one it is configured for, else processes."""
    if kind is None and app.conf.origin("runner_cls") != "default":
        return
    from pynenc.runners.runner import runner_class

    app.conf.runner_cls = KINDS.get(kind or "process", kind)
    app.runner = runner_class(app.conf.runner_cls)(app)


def size_runner(
    app: Pynenc, *, concurrency: int | None, processes: tuple[int, int] | None, mode: str | None = None
) -> None:
    """Set how many bodies run at once, in the terms of the runner chosen."""
    from pynenc.runners.runner import HybridRunner, MultiThreadRunner, ProcessRunner

    chosen, name = app.runner, type(app.runner).__name__
    if processes is not None and not isinstance(chosen, ProcessRunner):
        raise click.UsageError(f"--processes is for process runners; {name} has --concurrency")
    if mode is not None and not isinstance(chosen, HybridRunner):
        raise click.UsageError(f"--mode is for --runner hybrid; {name} has one way to run its bodies")
    if isinstance(chosen, ProcessRunner) and not isinstance(chosen, (HybridRunner, MultiThreadRunner)):
        if processes is not None and concurrency is not None:
            raise click.UsageError(
                "a worker process runs one body at a time: give --processes or --concurrency, not both, "
                "or choose --runner hybrid"
            )
        processes = processes or (None if concurrency is None else (concurrency, concurrency))
        concurrency = None
    if mode is not None:
        app.conf.worker_mode = mode
    if processes is not None:
        app.conf.num_processes = 0
        app.conf.min_processes, app.conf.max_processes = processes
        app.conf.enforce_max_processes = False
    if concurrency is not None:
        app.conf.concurrency = concurrency
        app.conf.max_threads = concurrency


def choose_queues(app: Pynenc, text: str) -> None:
    """Set which queues are served, and how many bodies of them at a time where that is said."""
    names: list[str] = []
    limits: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, limit = part.partition(":")
        names.append(name.strip())
        if colon:
            limits[name.strip()] = limit
    if not names:
        raise click.UsageError("--queues names no queue; leave it out to serve all of them")
    app.conf.queues = tuple(names)
    app.conf.queue_limits = limits


def _refuse_private_store(app: Pynenc) -> None:
    if not app.backend.capabilities.across_processes:
        raise ConfigurationError(
            f"the store {app.backend.url} is private to each process: nothing could reach this runner; "
            "use a sqlite:/// store, or app.running() inside the program"
        )


def _configure_logging(app: Pynenc, *, verbose: bool) -> None:
    from pynenc.logs.setup import configure_logging

    if verbose:
        app.conf.logging_level = "debug"
    configure_logging(app.conf)


def _announce(state: State, app: Pynenc) -> None:
    """Say what starts. How many slots it has the runner itself logs, once it has made them."""
    facts = {
        "app_id": app.app_id,
        "runner": f"{type(app.runner).__name__}@{socket.gethostname()}:{os.getpid()}",
        "queues": list(app.conf.queues),
        "store": app.backend.url,
    }
    if state.as_json:
        print_json(facts, lines=True)
    else:
        queues = ", ".join(app.conf.queues) or "all queues"
        click.echo(f"{facts['runner']} runs app {app.app_id} on {app.backend.url}, serves {queues}")


@runner.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--within", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Seconds it may be old."
)
@with_state
def alive(state: State, file: Path, within: float) -> None:
    """Tell whether the runner that touches FILE (`--alive-file`) is alive: a probe for where there is no network.

    Exits with 0 if it is, with 1 if not. Needs neither the app nor its store.
    """
    try:
        age_s = max(0.0, time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        well, said = False, f"{file} does not exist: no runner that touches it is alive"
    else:
        well = age_s <= within
        said = f"last alive {age_s:.1f} s ago" + ("" if well else f", more than {within:g} s ago")
    if state.as_json:
        print_json({"alive": well, "detail": said})
    else:
        click.echo(said)
    sys.exit(0 if well else 1)


@runner.command("show_config")
@with_state
def show_runner_config(state: State) -> None:
    """Show the settings that concern runners."""
    from pynenc.cli.show_config import show
    from pynenc.config.fields import RunnerSettings

    names = {name for name in vars(RunnerSettings) if not name.startswith("_")}
    show(state, lambda name: name in names)
