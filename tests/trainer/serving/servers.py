"""Servers in processes of their own, started by the command that a user gives."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from openai import OpenAI

ROOT: Final = Path(__file__).resolve().parents[3]
STARTS_WITHIN_S: Final = 240


@dataclass(frozen=True)
class Server:
    """A server at work."""

    process: subprocess.Popen[bytes]
    url: str  # without a slash at its end
    log: Path

    def client(self, key: str = "none") -> OpenAI:
        """The official client, which sends each request once."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)

    def connect(self) -> http.client.HTTPConnection:
        """A connection for requests that no client of OpenAI's would send."""
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)

    def get(self, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers."""
        return self.send("GET", path, None, **headers)

    def send(self, method: str, path: str, body: Any, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers; a body that is not bytes is sent as JSON."""
        with contextlib.closing(self.connect()) as connection:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None:
                sent = {"Content-Type": "application/json", **sent}
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())

    def load(self, **headers: str) -> int:
        """Answers that are computed now or wait."""
        text = self.get("/metrics", **headers)[1].decode()
        return sum(
            int(float(value)) for value in re.findall(r"^vitrine_(?:running|waiting) (\S+)$", text, re.MULTILINE)
        )


@contextlib.contextmanager
def serving(run: Path, *options: str, log: Path, **environment: str) -> Iterator[Server]:
    """A server that has begun to answer; it is killed at the end, if it is still there."""
    command = [sys.executable, "-m", "launch.cli", "serve", "--run", str(run), "--port", "0", *options]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment}
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        yield Server(process, _address(process, log), log)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    ends = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends and process.poll() is None:
        if found := re.search(r"^serving .* at (http://\S+)/ ", log.read_text(), re.MULTILINE):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()}")


def question(text: str, **others: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"model": "vitrine", "messages": [{"role": "user", "content": text}], **others}
