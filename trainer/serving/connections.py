"""Clients that send too much, too slowly, or leave: what Starlette does not see to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from trainer.serving.schema import ApiError

Value = TypeVar("Value")
HEADERS_S: Final = 10.0
_READ_FOR_NOTHING: Final = 16  # so many times the limit: a client that is cut off while it sends never reads why


class PromptProtocol(H11Protocol):
    """Uvicorn's protocol of a connection, which is closed where the headers of a request do not come in time.

    Uvicorn 0.54 waits for them without an end. It is looked at every 10 s: a connection that waits for the same request
    as the time before is closed. One that is kept alive without a request is closed earlier, by uvicorn.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begins to look."""
        super().connection_made(transport)
        self._look(object())

    def connection_lost(self, exc: Exception | None) -> None:
        """Looks no more."""
        self._next_look.cancel()
        super().connection_lost(exc)

    def _look(self, before: object) -> None:
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and self.cycle is before:
            self.transport.close()
            return
        self._next_look = self.loop.call_later(HEADERS_S, self._look, self.cycle if is_waiting else object())


async def read_body(request: Request, *, most: int) -> bytes:
    """The body of a request. ApiError where it is no JSON by its type, or larger than `most` bytes."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # so that a page of another origin has to ask first
        raise ApiError(415, "expected a body with Content-Type: application/json")
    body, num = bytearray(), 0
    async for piece in request.stream():
        num += len(piece)
        if num <= most:
            body += piece
        elif num > most * _READ_FOR_NOTHING:
            break
    if num > most:
        raise ApiError(
            413, f"the body has more than {most:,} bytes, which is the most this server takes", code="body_too_large"
        )
    return bytes(body)


async def unless_left(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """What `work` returns; it is cancelled, with ClientDisconnect, as soon as the client has left."""
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(_left(request.receive))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, left):
            each.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await each


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """A response of server-sent events, for at most so many seconds.

    When it ends, by itself or because the client leaves, `close` is called.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], *, timeout: float, close: Callable[[], None]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events, self._timeout, self._close = events, timeout, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Sends the events."""
        sending, left = asyncio.ensure_future(self._send(send)), asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, left}, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._close()
            for each in (sending, left):
                each.cancel()
            await asyncio.gather(sending, left, return_exceptions=True)
        if not sending.cancelled() and (error := sending.exception()):
            raise error

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for event in self._events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
