"""What an s3:// URL says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from pynenc.errors import ConfigurationError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
OPTIONS = frozenset(
    {
        *("endpoint", "region", "profile", "addressing", "sse", "kms_key"),
        *("part_mib", "attempts", "connect_timeout_s", "call_timeout_s"),
    }
)
_MIB = 1 << 20


class S3Location(Struct, frozen=True, kw_only=True):
    """Where a bucket is and how it is spoken to."""

    bucket: str
    prefix: str
    """Before the names of all objects; ends with a slash."""
    public_url: str
    endpoint: str | None = None
    """None: that of AWS in the region."""
    region: str | None = None
    profile: str | None = None
    addressing: str = "auto"
    encryption: dict[str, str] = {}
    part_bytes: int = 16 * _MIB
    attempts: int = 4
    connect_timeout_s: float = 5.0
    call_timeout_s: float = 60.0


def locate(url: str, options: Mapping[str, str], below: str) -> S3Location:
    """Return what the URL and its options say.

    Args:
        below: the last part of the prefix: the app's own.

    Raises:
        ConfigurationError: names what is not understood and what is expected.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ConfigurationError(
            "credentials do not belong into an s3:// URL: they are taken from AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, the files of the AWS tools (`profile=`), or the machine's role"
        )
    bucket = parts.netloc
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(f"{bucket!r} in {url} is no name of a bucket; write s3://bucket/prefix")
    prefix = "/".join(part for part in (*unquote(parts.path).split("/"), below) if part)
    return S3Location(
        bucket=bucket,
        prefix=f"{prefix}/",
        public_url=f"s3://{bucket}/{prefix}",
        endpoint=_endpoint(options.get("endpoint")),
        region=options.get("region"),
        profile=options.get("profile"),
        addressing=_addressing(options),
        encryption=_encryption(options),
        part_bytes=int(_number(options, "part_mib", 16, at_least=5) * _MIB),
        attempts=int(_number(options, "attempts", 4, at_least=1)),
        connect_timeout_s=_number(options, "connect_timeout_s", 5, at_least=0.1),
        call_timeout_s=_number(options, "call_timeout_s", 60, at_least=0.1),
    )


def _endpoint(text: str | None) -> str | None:
    if text is None:
        return None
    endpoint = text if "://" in text else f"https://{text}"
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ConfigurationError("endpoint of an s3:// URL is http:// or https:// and a host, without a login")
    return endpoint


def _addressing(options: Mapping[str, str]) -> str:
    # Few servers of one's own have a name for each bucket.
    style = options.get("addressing", "path" if "endpoint" in options else "auto")
    if style not in ("path", "virtual", "auto"):
        raise ConfigurationError(f"addressing={style!r} of an s3:// URL must be path, virtual or auto")
    return style


def _encryption(options: Mapping[str, str]) -> dict[str, str]:
    sse, key = options.get("sse"), options.get("kms_key")
    if sse is None:
        if key is not None:
            raise ConfigurationError("kms_key of an s3:// URL needs sse=aws:kms beside it")
        return {}
    if sse not in _ENCRYPTIONS:
        raise ConfigurationError(f"sse={sse!r} of an s3:// URL must be one of {', '.join(_ENCRYPTIONS)}")
    if key is not None and sse == "AES256":
        raise ConfigurationError("kms_key of an s3:// URL goes with sse=aws:kms, not with AES256")
    encryption: dict[str, Any] = {"ServerSideEncryption": sse}
    return encryption if key is None else {**encryption, "SSEKMSKeyId": key}


def _number(options: Mapping[str, str], name: str, default: float, *, at_least: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not at_least <= number < 1e6:
        raise ConfigurationError(f"{name}={text!r} of an s3:// URL must be a number of at least {at_least:g}")
    return number
