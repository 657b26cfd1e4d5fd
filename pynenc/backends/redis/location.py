"""What a `redis://` URL and its options say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from pynenc.errors import ConfigurationError

DURABILITIES = ("none", "normal", "full", "replicated")
"""D0 to D3."""
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_OPTIONS = (
    *("durability", "replicas", "namespace", "pool_size", "connect_timeout_s", "call_timeout_s", "db"),
    *("sentinel_username", "sentinel_password", *_TLS),
)
_NAMESPACE = re.compile(r"[^{}\x00-\x20\x7f]{1,128}")
_FORMS = (
    "use redis://[user:password@]host[:port][/db], rediss://… for TLS, redis+unix:///path/to/socket, "
    "redis+sentinel://host[:port],host[:port]/master[/db] or redis+cluster://host[:port],host[:port]"
)
_PORTS = {"sentinel": 26_379}


class Location(Struct, frozen=True, kw_only=True):
    """Where the server is and how it is to be treated."""

    kind: str
    """`single`, `unix`, `sentinel` or `cluster`."""
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Of a Unix socket."""
    master: str = ""
    """The name that sentinels know the master by."""
    db: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    tls: Mapping[str, Any] | None = None
    """Options of the client library for TLS; None without."""
    namespace: str
    durability: str = "normal"
    replicas: int = 1
    """How many replicas have to have a write when the durability is `replicated`."""
    pool_size: int = 8
    connect_timeout_s: float = 5.0
    call_timeout_s: float = 10.0

    @property
    def prefix(self) -> bytes:
        """What every key of the app begins with; the braces keep them in one slot of a cluster."""
        return b"{" + self.namespace.encode() + b"}:"

    @property
    def public_url(self) -> str:
        """The URL without user and password."""
        tls = "s" if self.tls is not None else ""
        if self.kind == "unix":
            return f"redis+unix://{self.path}?db={self.db}"
        places = ",".join(f"{host}:{port}" for host, port in self.hosts)
        if self.kind == "sentinel":
            return f"redis{tls}+sentinel://{places}/{self.master}/{self.db}"
        if self.kind == "cluster":
            return f"redis{tls}+cluster://{places}"
        return f"redis{tls}://{places}/{self.db}"


def parse_location(url: str, options: Mapping[str, str], app_id: str) -> Location:
    """Return what `url` (without its query) and its options say.

    Raises:
        ConfigurationError: the URL has another form, or an option is unknown or ill-typed.
    """
    for name in options:
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(_OPTIONS)}"
            raise ConfigurationError(f"a redis:// store has no option {name!r}; {hint}")
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    location = Location(
        kind=kind or "single",
        **_place(parts.netloc.rpartition("@")[2], parts.path, kind or "single", options),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=_tls(options, secure=scheme == "rediss"),
        namespace=_namespace(options.get("namespace", app_id)),
        durability=_durability(options),
        replicas=int(_number(options, "replicas", 1, least=1)),
        pool_size=int(_number(options, "pool_size", 8, least=1)),
        connect_timeout_s=_number(options, "connect_timeout_s", 5.0, least=0.001),
        call_timeout_s=_number(options, "call_timeout_s", 10.0, least=0.001),
    )
    if location.kind == "cluster" and location.durability == "replicated":
        raise ConfigurationError(
            "durability=replicated waits for replicas on one connection, which a cluster does not offer; set "
            "min-replicas-to-write on its masters and use durability=full"
        )
    return location


def _place(netloc: str, path: str, kind: str, options: Mapping[str, str]) -> dict[str, Any]:
    if kind == "unix":
        if netloc or len(path) < 2:
            raise ConfigurationError(f"redis+unix:// names no socket; {_FORMS}")
        return {"path": unquote(path), "db": int(_number(options, "db", 0))}
    names = [each for each in path.strip("/").split("/") if each]
    hosts = tuple(_host(each, _PORTS.get(kind, 6_379)) for each in netloc.split(",")) if netloc else ()
    if not hosts and kind != "single":
        raise ConfigurationError(f"redis+{kind}:// names no host; {_FORMS}")
    place: dict[str, Any] = {"hosts": hosts or (("localhost", 6_379),)}
    if kind == "sentinel":
        if not names:
            raise ConfigurationError(f"redis+sentinel:// names no master; {_FORMS}")
        place["master"] = unquote(names.pop(0))
    if kind == "cluster" and (names or options.get("db", "0") != "0"):
        raise ConfigurationError("a cluster has no numbered databases; leave the path of redis+cluster:// empty")
    if len(names) > 1 or (names and not names[0].isdigit()):
        raise ConfigurationError(f"{'/'.join(names)!r} is no number of a database; {_FORMS}")
    place["db"] = int(names[0]) if names else int(_number(options, "db", 0))
    return place


def _host(text: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "localhost", parts.port or port
    except ValueError:
        raise ConfigurationError(f"{text!r} is no host and port; {_FORMS}") from None


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ConfigurationError(
            f"{text!r} cannot be the namespace of keys: use 1 to 128 characters without braces, blanks and control "
            "characters (option namespace, else the app_id)"
        )
    return text


def _durability(options: Mapping[str, str]) -> str:
    durability = options.get("durability", "normal")
    if durability not in DURABILITIES:
        raise ConfigurationError(f"durability is {durability!r}; it must be one of {', '.join(DURABILITIES)}")
    return durability


def _number(options: Mapping[str, str], name: str, default: float, *, least: float = 0.0) -> float:
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


def _tls(options: Mapping[str, str], *, secure: bool) -> dict[str, Any] | None:
    tls: dict[str, Any] = {name: options[name] for name in _TLS if name in options}
    if not secure:
        if tls:
            raise ConfigurationError(f"{next(iter(tls))} is an option of rediss://, this URL says redis:// (no TLS)")
        return None
    if "ssl_check_hostname" in tls:
        tls["ssl_check_hostname"] = tls["ssl_check_hostname"].lower() in ("1", "true", "yes")
    if tls.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise ConfigurationError(f"ssl_cert_reqs is {tls['ssl_cert_reqs']!r}; use required, optional or none")
    return tls
