"""An S3 server on the loopback, and before it a proxy that stumbles as it is told."""

import http.client
import random
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import fsspec
from moto.server import ThreadedMotoServer

BUCKET = "catalogue"
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "date", "server")

# Refused with that status; reset at once; reset or ended in the middle of the body; nothing for a while, and then the
# answer; one byte of the body changed; done, but reset in place of the answer.
Fault = Literal["503", "403", "reset", "cut", "short", "stall", "flip", "lost"]


@dataclass
class Request:
    """What was asked for."""

    method: str
    path: str
    range: str
    fault: Fault | None


@dataclass
class FaultyS3:
    """Its address for clients, the faults to come, and what was asked for."""

    url: str
    faults: Callable[[int, str], Fault | None] = lambda _number, _path: None  # by the request's number and path
    stall_s: float = 10.0
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, faults: Callable[[int, str], Fault | None], *, stall_s: float = 10.0) -> None:
        """Forgets what was asked for; stumbles like this from now on."""
        with self.lock:
            self.requests.clear()
            self.faults, self.stall_s = faults, stall_s

    def count(self, fault: Fault) -> int:
        """How often it came."""
        return sum(request.fault == fault for request in self.requests)


def rates(seed: int, **shares: float) -> Callable[[int, str], Fault | None]:
    """Faults at random, each in such a share of requests."""
    draw = random.Random(seed)

    def choose(_number: int, _path: str) -> Fault | None:
        left = draw.random()
        for fault, share in shares.items():
            left -= share
            if left < 0:
                return fault.removeprefix("status_")  # type: ignore[return-value]
        return None

    return choose


def only(*faults: Fault | None) -> Callable[[int, str], Fault | None]:
    """These for the first requests, none later."""
    return lambda number, _path: faults[number] if number < len(faults) else None


def forget_stores() -> None:
    """From now on the environment says anew where s3:// is: fsspec keeps its clients by their arguments alone."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@contextmanager
def serve() -> Iterator[FaultyS3]:
    """Both servers, with an empty bucket."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"")  # moto keeps buckets in the process
        forget_stores()
        with stumbling(host, port) as state:
            fsspec.filesystem("s3", endpoint_url=state.url, key="k", secret="s").mkdir(BUCKET)
            yield state
    finally:
        moto.stop()


@contextmanager
def stumbling(host: str, port: int) -> Iterator[FaultyS3]:
    """The proxy alone, before a server at this address; it listens on the same host."""
    proxy = ThreadingHTTPServer((host, 0), _Proxy)
    proxy.daemon_threads = True
    proxy.upstream = (host, port)
    state = proxy.state = FaultyS3(f"http://{host}:{proxy.server_address[1]}")
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state: FaultyS3 = self.server.state
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with state.lock:
            fault = state.faults(len(state.requests), self.path)
            state.requests.append(Request(self.command, self.path, self.headers.get("Range", ""), fault))
        if fault == "stall":
            time.sleep(state.stall_s)
        if fault == "reset":
            self._reset()
        elif fault in ("503", "403"):
            code = {"503": "SlowDown", "403": "AccessDenied"}[fault]
            self._answer(int(fault), {}, f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode())
        else:
            self._forward(sent, fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _forward(self, sent: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path, body=sent or None, headers=dict(self.headers))
            response = upstream.getresponse()
            body = response.read()
            headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
        finally:
            upstream.close()
        if fault == "lost":
            self._reset()
            return
        if fault == "flip" and body:
            body = body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1 :]
        if fault == "short" and self.command == "GET":  # a whole answer of too few bytes
            body = body[: len(body) // 2]
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        self._answer(response.status, headers, body[: len(body) // 2] if fault == "cut" else body, size=len(body))
        if fault == "cut":
            self._reset()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, *, size: int | None = None) -> None:
        try:
            self.send_response_only(status)
            if not any(name.lower() == "content-length" for name in headers):
                headers["Content-Length"] = str(len(body) if size is None else size)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client has gone

    def _reset(self) -> None:
        """Ends the connection in such a way that the client sees a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        """Nothing is left to be sent where the connection was reset."""
        if self.connection.fileno() >= 0:
            super().finish()

    def log_message(self, format: str, *_: object) -> None:
        """Silent."""
