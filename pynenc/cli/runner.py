"""`pynenc runner`: start a runner, show what it would be."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pynenc.cli.context import State, with_state

if TYPE_CHECKING:
    from pynenc.app import Pynenc

KINDS = {
    "thread": "ThreadRunner",
    "process": "PersistentProcessRunner",
    "async": "AsyncRunner",
}


@click.group()
def runner() -> None:
    """Execute invocations."""


@runner.command()
@click.option("--runner", "kind", default="process", show_default=True, help="thread, process, async, or a class name.")
@click.option("--concurrency", type=click.IntRange(1), help="Bodies at once (threads or coroutines).")
@click.option("--processes", type=click.IntRange(1), help="Worker processes.")
@click.option("--queues", help="Queues to serve, separated by commas; all by default.")
@click.option("--reload", "reloads", is_flag=True, help="Start anew when a Python file changes.")
@click.option(
    "--drain-timeout", type=float, default=30.0, show_default=True, help="Seconds for bodies to end on SIGTERM."
)
@with_state
def start(
    state: State,
    kind: str,
    concurrency: int | None,
    processes: int | None,
    queues: str | None,
    reloads: bool,
    drain_timeout: float,
) -> None:
    """Run invocations until SIGTERM or SIGINT; a second signal kills.

    On the first signal nothing more is claimed, what has not started is handed back, and bodies get the drain timeout.
    """
    if reloads:
        from pynenc.cli.reloading import run_with_reload

        sys.exit(run_with_reload([argument for argument in sys.argv[1:] if argument != "--reload"]))
    app = state.app()
    configure_runner(app, kind, concurrency=concurrency, processes=processes, queues=queues)
    from pynenc.logs.setup import configure_logging

    configure_logging(app.conf)
    app.runner.run(drain_timeout=drain_timeout)


def configure_runner(
    app: Pynenc, kind: str, *, concurrency: int | None, processes: int | None, queues: str | None
) -> None:
    """Set what the options of the command line say on the app."""
    app.conf.runner_cls = KINDS.get(kind, kind)
    if concurrency is not None:
        app.conf.concurrency = concurrency
        app.conf.max_threads = concurrency
    if processes is not None:
        app.conf.num_processes = processes
    if queues is not None:
        app.conf.queues = tuple(name.strip() for name in queues.split(",") if name.strip())


@runner.command("show_config")
@with_state
def show_runner_config(state: State) -> None:
    """Show the settings that concern runners."""
    from pynenc.cli.show_config import show
    from pynenc.config.fields import RunnerSettings

    names = {name for name in vars(RunnerSettings) if not name.startswith("_")}
    show(state, lambda name: name in names)
