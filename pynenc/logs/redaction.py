"""What must not be seen."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_SECRET_WORDS = ("pass", "pwd", "secret", "token", "key", "user", "credential", "auth", "signature")
HIDDEN = "***"


def redact_url(url: str) -> str:
    """Return `url` without user, password and those parameters whose names sound secret."""
    try:
        parts = urlsplit(url)
        secretive = "@" in parts.netloc or bool(parts.query)
    except ValueError:
        return HIDDEN
    if not secretive:
        # Putting it together again could change it: `sqlite:///x` has an empty place.
        return url
    place = f"{HIDDEN}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    return _joined(parts, place, _redact_query(parts.query))


def _joined(parts: SplitResult, place: str, query: str) -> str:
    tail = f"?{query}" if query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{parts.scheme}://{place}{parts.path}{tail}{fragment}"


def _redact_query(query: str) -> str:
    return "&".join(_redact_parameter(parameter) for parameter in query.split("&")) if query else ""


def _redact_parameter(parameter: str) -> str:
    from urllib.parse import unquote_plus

    name, equals, _ = parameter.partition("=")
    secret = any(word in unquote_plus(name).lower() for word in _SECRET_WORDS)
    return f"{name}{equals}{HIDDEN}" if secret and equals else parameter
