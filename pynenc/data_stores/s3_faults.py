"""What errors of a bucket mean, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pynenc.data_stores.s3_location import S3Location
from pynenc.errors import ConfigurationError, PynencError, StoreError, StoreFull, StoreReadOnly, StoreUnavailable

_MISSING = ("404", "NoSuchKey", "NotFound")
_NO_BUCKET = ("NoSuchBucket",)
_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired")
_FORBIDDEN = ("AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem")
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired")
_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException")
_FULL = ("QuotaExceeded", "InsufficientStorage", "507", "XMinioStorageFull")
_KMS = ("KMS.",)


def code_of(error: BaseException) -> str:
    """Return the code that the server gave, "" if it is no error of the server."""
    response = getattr(error, "response", None)
    found = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return str(found)


def is_missing(error: BaseException) -> bool:
    """Whether the error says that there is no such object."""
    return code_of(error) in _MISSING


def is_unexplained(error: BaseException) -> bool:
    """Whether the server refused without saying why, as it must in answer to HEAD."""
    return code_of(error) in ("400", "403", "301")


class Faults:
    """Turns errors of the client library into ours."""

    def __init__(self, location: S3Location) -> None:
        self._location = location

    @contextmanager
    def said(self) -> Iterator[None]:
        try:
            yield
        except (PynencError, ImportError):
            raise
        except Exception as error:
            from botocore.exceptions import BotoCoreError, ClientError
            from urllib3.exceptions import HTTPError

            if not isinstance(error, BotoCoreError | ClientError | HTTPError | OSError):
                raise
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> PynencError:
        code, place = code_of(error), f"the client data store {self._location.public_url}"
        if code:
            return self._of_server(code, error, place)
        name = type(error).__name__
        if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"):
            return StoreError(
                f"{place} needs credentials and there are none ({error}): set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, name a profile in the URL (`profile=`), or give the machine a role"
            )
        if name in ("ProfileNotFound", "NoRegionError", "InvalidRegionError", "ConfigParseError", "ConfigNotFound"):
            return ConfigurationError(f"{place}: {error}; say `region=` and `profile=` in the URL, or AWS_REGION")
        return StoreUnavailable(f"{place} cannot be reached{self._via()}: {error}")

    def _of_server(self, code: str, error: Exception, place: str) -> PynencError:
        bucket = self._location.bucket
        if code in _NO_BUCKET or code in _MISSING:
            return StoreError(f"{place}: there is no bucket {bucket}{self._via()}; make it, or correct the URL")
        if code in _CREDENTIALS:
            return StoreError(
                f"{place} does not accept the credentials ({code}): correct AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY or the profile, or renew the session"
            )
        if code in _CLOCK:
            return StoreError(f"{place} refuses the time of this machine ({code}): set its clock (NTP)")
        if code in _FORBIDDEN:
            return StoreReadOnly(
                f"{place} refuses ({code}): allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket, "
                f"s3:ListBucketMultipartUploads and s3:AbortMultipartUpload on the bucket {bucket}, and the use of its "
                "KMS key"
            )
        if code in _REGION:
            return ConfigurationError(f"{place} is in another region ({code}): say `region=` in the URL")
        if code in _FULL:
            return StoreFull(f"{place} is full ({code}); make room there")
        if code.startswith(_KMS):
            return StoreError(f"{place} cannot use its key ({code}): {error}; correct `kms_key=` or the rights on it")
        status = _status_of(error)
        if status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling", "TooManyRequests"):
            return StoreUnavailable(f"{place} does not answer as it should ({code}): {error}")
        return StoreError(f"{place} refuses ({code}): {error}")

    def _via(self) -> str:
        return f" at {self._location.endpoint}" if self._location.endpoint else ""


def _status_of(error: Exception) -> int:
    response = getattr(error, "response", None)
    found = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(response, dict) else 0
    return int(found)
