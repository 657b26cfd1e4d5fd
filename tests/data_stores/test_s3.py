"""Objects in a bucket of a real server: what is large, what is encrypted, and what goes wrong."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynenc.data_stores.objects import ObjectDataStore
from pynenc.data_stores.opening import open_data_store
from pynenc.data_stores.parcels import key_of
from pynenc.data_stores.s3_faults import Faults
from pynenc.data_stores.s3_location import S3Location
from pynenc.errors import (
    ConfigurationError,
    PynencError,
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from pynenc.io import run
from tests.data_places import fresh_data_url, log_in
from tests.faults.proxy import Cut, FaultyProxy
from tests.servers import url_of

MIB = 1 << 20
VALUE = b"one of many " * 10_000
DAY_US = 86_400_000_000


@pytest.fixture(autouse=True)
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of an empty place, without a cache."""
    return re.sub(r"&cache=[^&]*", "", fresh_data_url("s3", tmp_path)) + "&cache_mib=0"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Return the client library itself, as another program would use it."""
    from botocore.session import Session

    session = Session()
    session.set_credentials("tests", "tests-secret")
    client = session.create_client("s3", region_name="us-east-1", endpoint_url=endpoint())
    yield client
    client.close()


def endpoint() -> str:
    return url_of("s3").partition("endpoint=")[2]


def opened(url: str, owner: str = "memory://") -> ObjectDataStore:
    return open_data_store(url, app_id="shop", owner=owner)


def objects(client: Any, url: str) -> list[str]:
    prefix = url.removeprefix("s3://pynenc-tests/").partition("?")[0]
    return [each["Key"] for each in client.list_objects_v2(Bucket="pynenc-tests", Prefix=prefix).get("Contents", ())]


def test_a_value_is_one_object_and_compressed(url: str, client: Any) -> None:
    for _ in range(2):
        run(opened(url).put(key_of(VALUE), VALUE))

    (name,) = objects(client, url)
    assert re.search(rf"/shop/\d{{4}}-\d\d-\d\d/{key_of(VALUE).hex()}$", name)
    assert client.head_object(Bucket="pynenc-tests", Key=name)["ContentLength"] < len(VALUE) / 10


def test_a_large_value_goes_in_parts(url: str, client: Any) -> None:
    value = os.urandom(11 * MIB)
    store = opened(f"{url}&part_mib=5")

    reference = run(store.put(key_of(value), value))

    assert run(store.get(reference)) == value
    (name,) = objects(client, url)
    assert client.head_object(Bucket="pynenc-tests", Key=name)["ETag"].endswith('-3"')


def test_parts_that_a_writer_left_are_swept_after_two_days(url: str, client: Any) -> None:
    store = opened(url)
    prefix = url.removeprefix("s3://pynenc-tests/").partition("?")[0]
    client.create_multipart_upload(Bucket="pynenc-tests", Key=f"{prefix}/shop/2020-01-01/x")
    place = store._place

    place.sweep(before_us=0)
    assert client.list_multipart_uploads(Bucket="pynenc-tests", Prefix=prefix).get("Uploads")

    place.sweep(before_us=1 << 52)
    assert not client.list_multipart_uploads(Bucket="pynenc-tests", Prefix=prefix).get("Uploads")


@pytest.mark.parametrize(
    ("option", "encrypted"), [("sse=AES256", ("AES256", None)), ("sse=aws:kms&kms_key=our-key", ("aws:kms", "our-key"))]
)
def test_the_server_encrypts_as_the_url_says(
    url: str, client: Any, option: str, encrypted: tuple[str, str | None]
) -> None:
    store = opened(f"{url}&{option}")

    reference = run(store.put(key_of(VALUE), VALUE))

    (name,) = objects(client, url)
    head = client.head_object(Bucket="pynenc-tests", Key=name)
    assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId")) == encrypted
    assert run(store.get(reference)) == VALUE


def test_a_damaged_object_is_named_and_left_alone(url: str, client: Any) -> None:
    store = opened(url)
    reference = run(store.put(key_of(VALUE), VALUE))
    (name,) = objects(client, url)
    client.put_object(Bucket="pynenc-tests", Key=name, Body=b"PNCD" + bytes(40))

    with pytest.raises(StoreCorrupted) as caught:
        run(store.get(reference))

    assert f"s3://pynenc-tests/{name}" in str(caught.value)
    assert objects(client, url) == [name]


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "not-the-secret"}, "does not accept the credentials"),
        ({"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "not-the-secret"}, "does not accept the credentials"),
        ({}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile"),
        ({"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "reader-secret"}, "allow s3:GetObject, s3:PutObject"),
    ],
)
def test_a_login_that_does_not_do_is_told_of_with_what_to_do(
    url: str, monkeypatch: pytest.MonkeyPatch, login: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    log_in(monkeypatch, login)
    store = opened(url)

    with pytest.raises(StoreError) as caught:
        run(store.put(key_of(VALUE), VALUE))

    assert said in str(caught.value)
    assert "secret" not in str(caught.value).replace("SECRET", "")
    assert said in run(store.diagnose())[0].detail


def test_a_profile_of_the_files_of_the_aws_tools_is_a_login(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log_in(monkeypatch, {})
    (tmp_path / "credentials").write_text(
        "[shop]\naws_access_key_id = tests\naws_secret_access_key = tests-secret\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    assert run(opened(f"{url}&profile=shop").put(key_of(VALUE), VALUE))

    with pytest.raises(ConfigurationError, match="`profile=` in the URL"):
        run(opened(f"{url}&profile=shpo").put(key_of(VALUE), VALUE))


def test_a_bucket_that_is_not_there_is_told_of(url: str) -> None:
    store = opened(url.replace("pynenc-tests", "pynenc-absent"))

    # This login may do nothing in other buckets: who may is told that there is none.
    with pytest.raises(StoreError, match=r"on the bucket pynenc-absent|there is no bucket pynenc-absent"):
        run(store.put(key_of(VALUE), VALUE))


def test_a_server_that_is_not_there_is_told_of(url: str) -> None:
    away = url.replace(endpoint(), "http://127.0.0.1:9") + "&attempts=1"

    with pytest.raises(StoreUnavailable, match=r"cannot be reached at http://127\.0\.0\.1:9"):
        run(opened(away).put(key_of(VALUE), VALUE))
    assert [finding.level for finding in run(opened(away).diagnose())] == ["error"]


@pytest.mark.parametrize("cut", list(Cut))
def test_a_connection_that_breaks_is_tried_again(url: str, cut: Cut) -> None:
    host, port = endpoint().removeprefix("http://").split(":")
    with FaultyProxy(host, int(port)) as proxy:
        # The signature covers the name of the host, but this server goes by what it is told.
        store = opened(url.replace(endpoint(), f"http://127.0.0.1:{proxy.port}"))
        reference = run(store.put(key_of(VALUE), VALUE))

        proxy.cut_next_reply(cut)
        assert run(store.put(key_of(b"two"), b"two"))
        proxy.cut_next_reply(cut)
        assert run(store.get(reference)) == VALUE

        assert proxy.cuts == 2
        store.close()


def test_nothing_that_is_secret_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="pynenc")
    store = opened(url)

    run(store.put(key_of(VALUE), VALUE))
    run(store.diagnose())

    assert "tests-secret" not in caplog.text
    assert "tests-secret" not in store.url + repr(store)


def test_a_forked_child_has_connections_of_its_own(url: str) -> None:
    store = opened(url)
    reference = run(store.put(key_of(VALUE), VALUE))

    child = os.fork()
    if child == 0:
        os._exit(0 if run(store.get(reference)) == VALUE else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert run(store.get(reference)) == VALUE


def test_doctor_finds_a_healthy_bucket_and_leaves_nothing_there(url: str, client: Any) -> None:
    findings = run(opened(url).diagnose())

    assert [finding.level for finding in findings] == ["ok"]
    assert objects(client, url) == []


def test_only_one_store_of_invocations_becomes_the_owner(url: str) -> None:
    assert run(opened(url).collect(before_us=0)) == 0

    with pytest.raises(StoreError, match="keeps values for memory://, not for redis://staging"):
        run(opened(url, owner="redis://staging").collect(before_us=0))


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        ("RequestTimeTooSkewed", 403, StoreError, "set its clock"),
        ("NoSuchBucket", 404, StoreError, "there is no bucket shelf"),
        ("AccessDenied", 403, StoreReadOnly, "s3:AbortMultipartUpload"),
        ("ExpiredToken", 400, StoreError, "renew the session"),
        ("PermanentRedirect", 301, ConfigurationError, "region="),
        ("QuotaExceeded", 403, StoreFull, "make room"),
        ("KMS.DisabledException", 400, StoreError, "kms_key="),
        ("SlowDown", 503, StoreUnavailable, "SlowDown"),
        ("InternalError", 500, StoreUnavailable, "InternalError"),
        ("InvalidRequest", 400, StoreError, "InvalidRequest"),
    ],
)
def test_what_a_server_says_becomes_an_error_that_says_what_to_do(
    code: str, status: int, kind: type[PynencError], said: str
) -> None:
    from botocore.exceptions import ClientError

    location = S3Location(bucket="shelf", prefix="x/", public_url="s3://shelf/x")
    reply = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}

    with pytest.raises(kind) as caught, Faults(location).said():
        raise ClientError(reply, "PutObject")

    assert type(caught.value) is kind
    assert said in str(caught.value)
