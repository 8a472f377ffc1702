"""What an error of a disk or an object store means: which errors there are, whether they may pass, why in one line."""

import sys
from typing import Final

from contract.errors import first_line

# Errors of object stores' clients that are no OSError. The clients are optional; fsspec loads those that it needs.
_CLIENT_ERRORS: Final = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("requests", "RequestException"),
)
_HOPELESS_ERRORS: Final = (
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "ParamValidationError"),
    *("UnauthorizedSSOTokenError", "SSOTokenLoadError", "DefaultCredentialsError", "RefreshError"),
)
GIVE_CREDENTIALS: Final = (
    "give credentials in a usual place: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the machine's role"
)


def read_errors() -> tuple[type[Exception], ...]:
    """The errors of reading and writing that come from a disk or a store: OSError, and those of loaded clients.

    Call it in the `except` clause: a client may have been loaded only just before.
    """
    loaded = ((sys.modules.get(module), name) for module, name in _CLIENT_ERRORS)
    return OSError, *(getattr(module, name) for module, name in loaded if module is not None)


def is_hopeless(error: Exception) -> bool:
    """Whether trying again is of no use: no right to read, no credentials, no such bucket."""
    forbidden = isinstance(error, PermissionError) or getattr(error, "code", None) in (401, 403)
    return forbidden or type(error).__name__ in _HOPELESS_ERRORS or is_missing_bucket(error)


def is_missing_bucket(error: Exception) -> bool:
    """Whether S3 says that there is no such bucket, which s3fs reports as a FileNotFoundError."""
    return code_of(error) == "NoSuchBucket"


def code_of(error: Exception) -> str:
    """S3's name for an error; empty where it did not answer."""
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None) or {}
    return response.get("Error", {}).get("Code", "")


def reason_of(error: Exception, url: str) -> str:
    """Why a read or write at this URL failed, in one line, and what may help."""
    if is_missing_bucket(error):
        return f"there is no bucket {url.split('/')[2]}"
    reason = getattr(error, "strerror", None) or first_line(error)
    return f"{reason}; {GIVE_CREDENTIALS}" if type(error).__name__ in _HOPELESS_ERRORS else reason
