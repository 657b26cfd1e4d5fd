"""Objects in a bucket of S3, or of a server that speaks its protocol.

    s3://<bucket>/<prefix>/<app>/2026-11-28/3fc2…   one object
    s3://<bucket>/<prefix>/<app>/owner              whose objects these are

The client library is botocore: its chain of credentials, its retries, its signatures. It is loaded with the first call.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pynenc.data_stores.s3_faults import Faults, code_of, is_missing, is_unexplained
from pynenc.data_stores.s3_location import S3Location
from pynenc.errors import ConfigurationError, StoreError
from pynenc.ports.backend import Finding
from pynenc.ports.object_place import ObjectPlace

_AT_ONCE = 1_000
"""Objects that one request removes at most."""
_CONNECTIONS = 32
_SKEW_S = 300.0
_THERE_ALREADY = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_UNKNOWN_THERE = ("NotImplemented", "501")
"""What servers say that do not have all of S3: a condition on a write, a list of what is unfinished."""


class S3Place(ObjectPlace):
    """Keeps objects in a bucket."""

    def __init__(self, location: S3Location) -> None:
        self.url = location.public_url
        self._location = location
        self._faults = Faults(location)
        self._lock = threading.Lock()
        self._client: Any = None
        self._pid = 0

    def has(self, group: str, name: str) -> bool:
        where = {"Bucket": self._location.bucket, "Key": self._key(group, name)}
        with self._faults.said():
            try:
                try:
                    self._s3().head_object(**where)
                except Exception as error:
                    if not is_unexplained(error):
                        raise
                    # The answer to this request has no room for the reason; this one's has.
                    self._s3().get_object(**where, Range="bytes=0-0")["Body"].close()
            except Exception as error:
                if is_missing(error):
                    return False
                raise
            return True

    def write(self, group: str, name: str, content: bytes) -> None:
        key = self._key(group, name)
        with self._faults.said():
            if len(content) > self._location.part_bytes:
                self._write_in_parts(key, content)
            else:
                self._s3().put_object(Bucket=self._location.bucket, Key=key, Body=content, **self._location.encryption)

    def create(self, name: str, content: bytes) -> bool:
        what = {"Bucket": self._location.bucket, "Key": self._location.prefix + name, "Body": content}
        with self._faults.said():
            try:
                self._s3().put_object(**what, IfNoneMatch="*", **self._location.encryption)
            except Exception as error:
                if code_of(error) in _THERE_ALREADY:
                    return False
                if code_of(error) not in _UNKNOWN_THERE:
                    raise
                if self.read(None, name) is not None:
                    return False
                self._s3().put_object(**what, **self._location.encryption)
            return True

    def remove(self, name: str) -> None:
        with self._faults.said():
            self._s3().delete_object(Bucket=self._location.bucket, Key=self._location.prefix + name)

    def read(self, group: str | None, name: str) -> bytes | None:
        key = self._location.prefix + name if group is None else self._key(group, name)
        for left in reversed(range(self._location.attempts)):
            with self._faults.said():
                try:
                    body = self._s3().get_object(Bucket=self._location.bucket, Key=key)["Body"]
                except Exception as error:
                    if is_missing(error):
                        return None
                    raise
                try:
                    content: bytes = body.read()
                except Exception:
                    # The client library tries requests again, but not what breaks while their content arrives.
                    if not left:
                        raise
                else:
                    return content
        raise AssertionError("the last attempt returns or raises")

    def groups(self) -> list[str]:
        prefix = self._location.prefix
        with self._faults.said():
            found = [
                each["Prefix"][len(prefix) :].rstrip("/")
                for page in self._pages("list_objects_v2", Prefix=prefix, Delimiter="/")
                for each in page.get("CommonPrefixes", ())
            ]
        return sorted(found)

    def drop_group(self, group: str) -> int:
        number = 0
        with self._faults.said():
            for page in self._pages("list_objects_v2", Prefix=self._key(group, ""), MaxKeys=_AT_ONCE):
                keys = [{"Key": each["Key"]} for each in page.get("Contents", ())]
                if not keys:
                    continue
                done = self._s3().delete_objects(Bucket=self._location.bucket, Delete={"Objects": keys, "Quiet": True})
                if errors := done.get("Errors"):
                    raise StoreError(
                        f"{len(errors)} objects cannot be removed from the client data store {self.url}: "
                        f"{errors[0].get('Code')} ({errors[0].get('Key')}); allow s3:DeleteObject"
                    )
                number += len(keys)
        return number

    def sweep(self, *, before_us: int) -> None:
        limit = datetime.fromtimestamp(before_us / 1e6, UTC)
        with self._faults.said():
            try:
                found = [
                    {"Bucket": self._location.bucket, "Key": each["Key"], "UploadId": each["UploadId"]}
                    for page in self._pages("list_multipart_uploads", Prefix=self._location.prefix)
                    for each in page.get("Uploads", ())
                    if each["Initiated"] < limit
                ]
            except Exception as error:
                if code_of(error) not in _UNKNOWN_THERE:
                    raise
                found = []
            for upload in found:
                self._s3().abort_multipart_upload(**upload)

    def name_of(self, group: str, name: str) -> str:
        return f"s3://{self._location.bucket}/{self._key(group, name)}"

    def diagnose(self) -> list[Finding]:
        name = f"doctor-{secrets.token_hex(8)}"
        try:
            with self._faults.said():
                head = self._s3().list_objects_v2(Bucket=self._location.bucket, Prefix=self._location.prefix, MaxKeys=1)
            if not self.create(name, b"doctor") or self.read(None, name) != b"doctor":
                raise StoreError(f"the client data store {self.url} does not give back what was just written to it")
            self.remove(name)
        except (StoreError, ConfigurationError) as error:
            return [Finding(level="error", subject="client data", detail=str(error))]
        return self._clocks(head)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    # --- the client ---

    def _s3(self) -> Any:
        if self._pid != os.getpid():
            # Connections of the parent are not ours; nor is a lock that one of its threads may have held.
            self._lock, self._client, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _make_client(self) -> Any:
        try:
            from botocore.config import Config
            from botocore.session import Session
        except ImportError as error:
            raise ConfigurationError(
                f"the client data store {self.url} needs the client library botocore: pip install 'pynenc[s3]'"
            ) from error
        location = self._location
        config = Config(
            connect_timeout=location.connect_timeout_s,
            read_timeout=location.call_timeout_s,
            retries={"mode": "standard", "total_max_attempts": location.attempts},
            max_pool_connections=_CONNECTIONS,
            s3={"addressing_style": location.addressing},
            # Every object is checked by its own hash; servers other than AWS may not know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = Session(profile=location.profile)
        session.register_component("data_loader", _descriptions())
        return session.create_client("s3", region_name=location.region, endpoint_url=location.endpoint, config=config)

    def _key(self, group: str, name: str) -> str:
        return f"{self._location.prefix}{group}/{name}"

    def _pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        yield from self._s3().get_paginator(operation).paginate(Bucket=self._location.bucket, **parameters)

    def _write_in_parts(self, key: str, content: bytes) -> None:
        s3, where = self._s3(), {"Bucket": self._location.bucket, "Key": key}
        upload = s3.create_multipart_upload(**where, **self._location.encryption)["UploadId"]
        with self._aborted_if_it_fails(where, upload):
            parts: list[dict[str, Any]] = []
            rest = memoryview(content)
            while rest:
                number, body = len(parts) + 1, bytes(rest[: self._location.part_bytes])
                sent = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)
                parts.append({"PartNumber": number, "ETag": sent["ETag"]})
                rest = rest[self._location.part_bytes :]
            s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    @contextmanager
    def _aborted_if_it_fails(self, where: dict[str, str], upload: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            # What cannot be aborted now is swept later.
            with suppress(Exception):
                self._s3().abort_multipart_upload(**where, UploadId=upload)
            raise

    def _clocks(self, head: dict[str, Any]) -> list[Finding]:
        from email.utils import parsedate_to_datetime

        text = head.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if not text:
            return []
        skew_s = (datetime.now(UTC) - parsedate_to_datetime(text)).total_seconds()
        if abs(skew_s) < _SKEW_S:
            return []
        return [
            Finding(
                level="warning",
                subject="client data",
                detail=f"the clock of this machine and that of {self.url} are {abs(skew_s):.0f} s apart",
                remedy="set the clock (NTP): signatures expire, and values are filed under the wrong day",
            )
        ]


@cache
def _descriptions() -> Any:
    """Return what reads the client library's descriptions of services, which takes most of the time of a client."""
    from botocore.loaders import create_loader

    return create_loader()
