"""What a `sqlite://` URL says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from pynenc.errors import ConfigurationError

_DURABILITIES = ("none", "normal", "full")
_FORMS = "use sqlite:///relative/path.db or sqlite:////absolute/path.db"


class Location(Struct, frozen=True, kw_only=True):
    """Where a store is and how it is to be treated."""

    url: str
    path: str
    """Absolute, so that a process may change its folder."""
    durability: str = "normal"
    """`none`: the operating system writes when it likes. `normal`: committed work survives kill -9.
    `full`: it survives loss of power."""
    busy_timeout_s: float = 30.0
    """How long to wait for other processes that write."""


def parse_location(url: str, options: Mapping[str, str]) -> Location:
    """Return what `url` (without its query) and its options say.

    Raises:
        ConfigurationError: the URL has another form, or an option is unknown or ill-typed.
    """
    unknown = sorted(set(options) - {"durability", "busy_timeout_s"})
    if unknown:
        raise ConfigurationError(
            f"the store {url} has no option {unknown[0]!r}; it knows durability and busy_timeout_s"
        )
    durability = options.get("durability", "normal")
    if durability not in _DURABILITIES:
        raise ConfigurationError(
            f"durability of the store {url} is {durability!r}; it must be one of {', '.join(_DURABILITIES)}"
        )
    return Location(
        url=url,
        path=_path(url),
        durability=durability,
        busy_timeout_s=_seconds(url, options.get("busy_timeout_s", "30")),
    )


def _path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc:
        raise ConfigurationError(f"{url} names a host ({parts.netloc!r}), but a SQLite store is a file; {_FORMS}")
    path = unquote(parts.path.removeprefix("/"))
    if not path or path.endswith("/"):
        raise ConfigurationError(f"{url} names no file; {_FORMS}")
    if path == ":memory:":
        raise ConfigurationError(f"{url} would be private to each connection; use memory:// instead")
    return str(Path(path).absolute())


def _seconds(url: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds < 1e9:
        raise ConfigurationError(f"busy_timeout_s of the store {url} is {text!r}; it must be seconds, at least 0")
    return seconds
