"""`pynenc limits`: limits, rates and weights, changed while everything runs."""

from __future__ import annotations

import json
from typing import Any

import click
from msgspec.structs import asdict

from pynenc.cli.context import State, print_json, with_state
from pynenc.cli.tables import print_table

COLUMNS = ("name", "key", "at_once", "rate", "burst", "weight")

_KEY = click.option(
    "--key", metavar="VALUE", multiple=True, help="For this key alone; JSON, else a text. Several in order."
)
_SHARE = click.option("--share", is_flag=True, help="NAME is a share_key, and its weight is meant.")


@click.group()
def limits() -> None:
    """Show and change limits while everything runs."""


@limits.command("list")
@with_state
def list_(state: State) -> None:
    """Show what was set and not cleared: it holds whatever tasks say."""
    rows = [asdict(each) for each in state.app().limits()]
    if state.as_json:
        print_json(rows)
    else:
        print_table("limits", COLUMNS, [list(row.values()) for row in rows])


@limits.command("set")
@click.argument("name")
@click.argument("value")
@_KEY
@_SHARE
@with_state
def set_(state: State, name: str, value: str, key: tuple[str, ...], share: bool) -> None:
    """Let the limit or rate NAME (or of the task NAME) be VALUE from now on.

    VALUE is how many at once (0: none), or a rate such as 10/s, 100/min, or "100/min burst 20".
    """
    app = state.app()
    if share:
        app.set_weight(_share(name, key), _number(value))
    else:
        app.set_limit(name, _value(value), **_keyword(key))
    _tell(state, name, value)


@limits.command("clear")
@click.argument("name")
@_KEY
@_SHARE
@with_state
def clear(state: State, name: str, key: tuple[str, ...], share: bool) -> int:
    """Let tasks decide again about the limit or rate NAME."""
    app = state.app()
    found = app.clear_weight(_share(name, key)) if share else app.clear_limit(name, **_keyword(key))
    _tell(state, name, None if found else "nothing")
    return 0 if found else 1


def _value(text: str) -> int | str:
    return _number(text) if text.strip().lstrip("-").isdigit() else text


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no whole number") from None


def _keyword(key: tuple[str, ...]) -> dict[str, Any]:
    return {"key": tuple(map(_parsed, key))} if key else {}


def _share(name: str, key: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(map(_parsed, (name, *key)))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tell(state: State, name: str, value: str | None) -> None:
    if state.as_json:
        print_json({"name": name, "set": value if value != "nothing" else None, "cleared": value is None})
    elif value is None:
        click.echo(f"{name}: tasks decide again")
    elif value == "nothing":
        click.echo(f"{name}: nothing was set")
    else:
        click.echo(f"{name}: {value} from now on")
