"""`pynenc metrics`, and the metrics page of `pynenc runner start`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.queues import queue_rows

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.integrations.prometheus import Prometheus


@contextmanager
def serving_metrics(app: Pynenc, port: int | None, host: str | None) -> Iterator[int | None]:
    """Serve `/metrics` while a runner runs, if a port is given or configured; yields the port.

    The app counts from then on if it did not before. One that counts shows its metrics beside the runner's health, too.
    """
    port = app.conf.metrics_port if port is None else port
    counting = _counting(app)
    if port is not None and counting is None:
        from pynenc.integrations.prometheus import Prometheus

        counting = Prometheus()
        app.add_middleware(counting)
    if counting is not None:
        from pynenc.runners.health_server import Page

        page = counting.page
        app.runner.pages["/metrics"] = lambda: Page(*page())
    if port is None or counting is None:
        yield None
        return
    with counting.serve(port, host or app.conf.metrics_host) as chosen:
        click.echo(f"metrics at http://{host or app.conf.metrics_host}:{chosen}/metrics")
        yield chosen


def _counting(app: Pynenc) -> Prometheus | None:
    """Return the metrics of an app; the library is not imported to find that there are none."""
    registered = app.hooks.all  # imports what is registered by name
    module = sys.modules.get("pynenc.integrations.prometheus")
    if module is None:
        return None
    return next((each for each in registered if isinstance(each, module.Prometheus)), None)


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), help="Serve them there until interrupted, instead of printing.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve them at.")
@with_state
def metrics(state: State, port: int | None, host: str) -> None:
    """Print how deep the queues are, as Prometheus reads it; or serve it, without a runner.

    For scaling from no runner at all: those that run serve the same, and more, with `runner start --metrics-port`.
    With --json it prints what `queues` does.
    """
    from pynenc.integrations.prometheus import exporter_of

    if state.as_json and port is None:
        print_json(queue_rows(state.app()))
        return
    exporter = exporter_of(state.app())
    if port is None:
        click.echo(exporter.page()[0].decode(), nl=False)
        return
    with exporter.serve(port, host) as chosen:
        url = f"http://{host}:{chosen}/metrics"
        if state.as_json:
            print_json({"metrics": url}, lines=True)
        else:
            click.echo(f"metrics at {url}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
