"""Commands that later releases have, refused by name."""

from __future__ import annotations

import click

from pynenc.errors import NotYetAvailable

_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command(context_settings=_ANYTHING)
def monitor() -> None:
    """Not in this release."""
    raise NotYetAvailable("pynenc monitor", "use pynenc dev, queues and invocations list")
