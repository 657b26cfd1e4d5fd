"""From a URL to a client data store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from hashlib import blake2b
from urllib.parse import parse_qsl, unquote, urlsplit

from pynenc.clock import system_clock_us
from pynenc.data_stores.cache import NO_CACHE, Cache, DiskCache
from pynenc.data_stores.folder import FolderPlace
from pynenc.data_stores.objects import ObjectDataStore
from pynenc.errors import ConfigurationError
from pynenc.ports.backend import ClockUs
from pynenc.ports.object_place import ObjectPlace

SCHEMES = ("file", "s3")
_COMMON = frozenset({"cache", "cache_mib", "compress"})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_CACHE_MIB = 1_024.0


def open_data_store(
    url: str, *, app_id: str, owner: str, durable: bool = True, clock: ClockUs = system_clock_us
) -> ObjectDataStore:
    """Return the client data store that `url` means. Nothing is opened before the first operation.

    Args:
        app_id: what keeps several apps in one place apart.
        owner: names the store of invocations whose references are kept there.
        durable: whether values survive a power failure.

    Raises:
        ConfigurationError: the URL or one of its options is not understood.
    """
    base, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    scheme = urlsplit(base).scheme
    if scheme not in SCHEMES:
        raise ConfigurationError(
            f"{scheme + '://' if scheme else repr(url)} is no client data store that Pynenc knows; use file:///folder "
            "or s3://bucket/prefix"
        )
    place = _folder(base, options, app_id, durable) if scheme == "file" else _bucket(base, options, app_id)
    return ObjectDataStore(
        place,
        owner=owner,
        cache=_cache(options, place.url, by_default=scheme == "s3"),
        compress=_flag(options, "compress", True),
        clock=clock,
    )


def _folder(base: str, options: Mapping[str, str], app_id: str, durable: bool) -> ObjectPlace:
    _refuse_unknown(options, frozenset({"sync"}), base)
    parts = urlsplit(base)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise ConfigurationError(f"{base} names no folder: write file:///absolute/path")
    return FolderPlace(os.path.normpath(path), _name_of(app_id), durable=_flag(options, "sync", durable))


def _bucket(base: str, options: Mapping[str, str], app_id: str) -> ObjectPlace:
    from pynenc.data_stores.s3 import S3Place
    from pynenc.data_stores.s3_location import OPTIONS, locate

    _refuse_unknown(options, OPTIONS, base)
    return S3Place(locate(base, options, _name_of(app_id)))


def _name_of(app_id: str) -> str:
    """Return the app's name where that is one for a folder, else what stands for it."""
    return app_id if _PLAIN_NAME.fullmatch(app_id) else f"app-{blake2b(app_id.encode(), digest_size=16).hexdigest()}"


def _refuse_unknown(options: Mapping[str, str], known: frozenset[str], base: str) -> None:
    unknown = sorted(set(options) - known - _COMMON)
    if unknown:
        raise ConfigurationError(
            f"the client data store {urlsplit(base).scheme}:// has no option {unknown[0]!r}; it knows "
            f"{', '.join(sorted(known | _COMMON))}"
        )


def _cache(options: Mapping[str, str], url: str, *, by_default: bool) -> Cache:
    text = options.get("cache_mib")
    try:
        mib = float(text) if text is not None else _CACHE_MIB if by_default or "cache" in options else 0.0
    except ValueError:
        mib = -1.0
    if not 0 <= mib < 1e9:
        raise ConfigurationError(f"cache_mib={text!r} must be a number of MiB, 0 for no cache")
    if not mib:
        return NO_CACHE
    folder = options.get("cache") or _cache_home()
    if not os.path.isabs(folder):
        raise ConfigurationError(f"cache={folder!r} must be an absolute path")
    # One place, one folder: what another place holds under the same name may be something else.
    return DiskCache(os.path.join(folder, blake2b(url.encode(), digest_size=12).hexdigest()), int(mib * 1_048_576))


def _cache_home() -> str:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(home if os.path.isabs(home) else os.path.expanduser("~/.cache"), "pynenc")


def _flag(options: Mapping[str, str], name: str, default: bool) -> bool:
    text = options.get(name)
    if text is None:
        return default
    if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
        raise ConfigurationError(f"{name}={text!r} must be 1 or 0")
    return text.lower() in ("1", "true", "yes")
