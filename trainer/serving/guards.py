"""What stands before every request: the key, the name of the host, and headers for browsers."""

import hmac
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.errors import UserError
from trainer.serving.replies import as_json, error_body
from trainer.serving.schema import ApiError
from trainer.serving.settings import API_KEY

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_OPEN: Final = frozenset({"/", "/health"})  # without a key; so are the files of the page
_OPEN_BELOW: Final = "/page/"
_UNKNOWN_HOST: Final = "unknown_host"
_WRONG_NAME: Final = {
    "en": "This server does not answer under this name. Open its page under one of these names: {}\n",
    "pt": "Este servidor não responde por este nome. Abra a página dele por um destes nomes: {}\n",
}
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def read_key(file: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key from this file, else from the environment; None where there is none. UserError if it cannot be used."""
    if file is None:
        key, source = environment.get(API_KEY), f"the environment variable {API_KEY}"
    else:
        key, source = _read(Path(file)), file
    if key is None:
        return None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"{source} holds no key: expected one line of letters, digits and signs, without blanks")
    return key


def _read(path: Path) -> str:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            print(f"warning: other users of this machine can read {path}; mend it: chmod 600 {path}", file=sys.stderr)
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise UserError(f"the key cannot be read from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} holds no key: expected ASCII") from error


class Guard:
    """Refuses requests without the key, and on the loopback those that a browser sends under another host's name.

    Such a name may lead to this machine although its page comes from another one (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, key: str | None, hosts: tuple[str, ...] | None) -> None:
        self._app, self._hosts = app, hosts
        self._key = key.encode() if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope)
        error = self._error(scope["path"], scope["method"], given)
        app = self._app if error is None else self._refusal(error, given)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, send_with_headers)

    def _error(self, path: str, method: str, headers: Headers) -> ApiError | None:
        if self._hosts is not None and _host_of(headers.get("host", "")) not in self._hosts:
            message = f"this server answers to the names {', '.join(self._hosts)} only"
            return ApiError(421, message, code=_UNKNOWN_HOST)
        if self._key is None or path in _OPEN or path.startswith(_OPEN_BELOW) or method == "OPTIONS":
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._key):
            return None
        return ApiError(
            401, "the key is missing or wrong; expected the header Authorization: Bearer KEY", code="invalid_api_key"
        )

    def _refusal(self, error: ApiError, given: Headers) -> Response:
        """The error, for a program; under a wrong name a browser gets no page, so a person gets a sentence to read."""
        if error.code != _UNKNOWN_HOST or "text/html" not in given.get("accept", ""):
            return error_response(error)
        language = "pt" if given.get("accept-language", "").lower().startswith("pt") else "en"
        text = _WRONG_NAME[language].format(", ".join(self._hosts or ()))
        return PlainTextResponse(text, error.status, {"Cache-Control": "no-store"})


def _host_of(header: str) -> str:
    """The name in a header such as `[::1]:8000`."""
    return header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0].lower()


def error_response(error: ApiError) -> Response:
    """The response for an error."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(as_json(error_body(error)), error.status, headers, "application/json")
