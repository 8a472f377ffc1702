"""A client that costs little: on the machine of the server, each of its cycles is taken from the server."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Address:
    """Where the server listens."""

    host: str
    port: int


@dataclass
class Outcome:
    """What one client saw, or several together."""

    latencies_s: list[float] = field(default_factory=list)
    num_tokens: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def num(self) -> int:
        """Complete answers."""
        return len(self.latencies_s)


def body_of(title: str, *, stream: bool, max_tokens: int) -> bytes:
    """A request, and in a stream its usage."""
    body: dict[str, Any] = {"model": "vitrine", "max_tokens": max_tokens, "stream": stream}
    body["messages"] = [{"role": "user", "content": f"What is {title}?"}]
    return json.dumps(body | ({"stream_options": {"include_usage": True}} if stream else {})).encode()


async def ask_until(address: Address, titles: Sequence[str], *, ends: float, first: int, max_tokens: int) -> Outcome:
    """Asks one title after the other on one connection; every second answer comes as a stream."""
    outcome, number = Outcome(), first
    async with connected(address) as (reader, writer):
        while time.perf_counter() < ends:
            began, number = time.perf_counter(), number + 1
            title = titles[number % len(titles)]
            await send(writer, body_of(title, stream=number % 2 == 0, max_tokens=max_tokens))
            status, body = await receive(reader)
            if status != 200 or not (found := _tokens(body)):
                outcome.errors.append(f"{status} {body[:200]!r}")
                continue
            outcome.latencies_s.append(time.perf_counter() - began)
            outcome.num_tokens += found
    return outcome


def _tokens(body: bytes) -> int:
    """The tokens of a complete answer; 0 of one that is not complete."""
    if body.startswith(b"data: "):
        *_, last, done, _ = body.split(b"\n\n")
        return int(json.loads(last[6:])["usage"]["completion_tokens"]) if done == b"data: [DONE]" else 0
    return int(json.loads(body)["usage"]["completion_tokens"])


@asynccontextmanager
async def connected(address: Address):  # type: ignore[no-untyped-def]  # two streams
    """A connection, which is closed at the end."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def send(writer: asyncio.StreamWriter, body: bytes | None, *, path: str = "/v1/chat/completions") -> None:
    """Sends a request: of a body, or for a path alone."""
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}\r\n".encode() + (body or b""))
    await writer.drain()


async def receive(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and whole body of a response."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if lengths:
        return status, await reader.readexactly(int(lengths[0]))
    body = bytearray()
    while length := int(await reader.readline(), 16):
        body += await reader.readexactly(length)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return status, bytes(body)
