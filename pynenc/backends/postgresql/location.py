"""What a `postgresql://` URL and its options say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Struct

from pynenc.errors import ConfigurationError

DURABILITIES = {"none": "off", "normal": "off", "full": "on", "replicated": "remote_apply"}
"""Durability -> `synchronous_commit`: D1 to D3; `none` cannot be less than `normal` here."""
_OWN = ("schema", "durability", "pool_size", "connect_timeout_s", "call_timeout_s", "pgbouncer")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,49}")


class Location(Struct, frozen=True, kw_only=True):
    """Where the database is and how it is to be treated."""

    conninfo: str
    """What the client library connects with."""
    public_url: str
    """Without user, password and options."""
    schema: str
    durability: str = "full"
    pool_size: int = 8
    connect_timeout_s: float = 5.0
    call_timeout_s: float = 30.0
    pooled: bool = False
    """Behind pgbouncer in transaction mode: nothing outlives a transaction, so sleepers poll."""


def parse_location(url: str, options: Mapping[str, str], app_id: str) -> Location:
    """Return what `url` (without its query) and its options say.

    Raises:
        ConfigurationError: the URL has another form, or an option is unknown or ill-typed.
    """
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.errors import ProgrammingError

    theirs = {name: value for name, value in options.items() if name not in _OWN}
    parts = urlsplit(url)
    given = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(theirs), ""))
    # urlunsplit drops the slashes of an empty place.
    given = given if "//" in given else given.replace("postgresql:", "postgresql://", 1)
    try:
        fields = conninfo_to_dict(given)
    except ProgrammingError as error:
        raise _refused(error, theirs) from None
    pooled = options.get("pgbouncer", "")
    if pooled not in ("", "transaction", "session"):
        raise ConfigurationError(f"pgbouncer is {pooled!r}; it must be transaction or session, its pool_mode")
    place = ",".join(str(fields[name]) for name in ("host", "hostaddr", "service") if fields.get(name)) or "localhost"
    port = f":{fields['port']}" if fields.get("port") else ""
    return Location(
        conninfo=given,
        public_url=f"postgresql://{place}{port}/{fields.get('dbname') or ''}",
        schema=_schema(options.get("schema"), app_id),
        durability=_durability(options),
        pool_size=int(_number(options, "pool_size", 8, 1)),
        connect_timeout_s=_number(options, "connect_timeout_s", 5.0, 0.001),
        call_timeout_s=_number(options, "call_timeout_s", 30.0, 0.001),
        pooled=pooled == "transaction",
    )


def _refused(error: Exception, given: Mapping[str, str]) -> ConfigurationError:
    text = str(error).strip()
    for name in given:
        if name in text:
            near = difflib.get_close_matches(name, _OWN, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"besides those of libpq it knows {', '.join(_OWN)}"
            return ConfigurationError(f"a postgresql:// store has no option {name!r}; {hint}")
    return ConfigurationError(
        "the postgresql:// URL is not understood; use postgresql://[user:password@]host[:port]/database, or "
        "postgresql://?service=name"
    )


def _schema(given: str | None, app_id: str) -> str:
    name = given if given is not None else "pynenc_" + re.sub(r"[^a-z0-9_]", "_", app_id.lower())
    if not _SCHEMA.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be the schema of a store: use up to 50 of a-z, 0-9 and _ (option schema)"
        )
    return name


def _durability(options: Mapping[str, str]) -> str:
    durability = options.get("durability", "full")
    if durability not in DURABILITIES:
        raise ConfigurationError(f"durability is {durability!r}; it must be one of {', '.join(DURABILITIES)}")
    return durability


def _number(options: Mapping[str, str], name: str, default: float, least: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number < 1e9 or (isinstance(default, int) and number != int(number)):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise ConfigurationError(f"{name} is {text!r}; it must be {kind}, at least {least:g}")
    return number
