"""A real S3 server on the loopback, or in a network of the tests: it stores objects, checks signatures and rights."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import s3fs

VERSION: Final = "v1.8.0"  # that of the Makefile
BUCKET: Final = "catalogue"
_PATH: Final = f"vitrine/versitygw-{VERSION}/versitygw"


@dataclass(frozen=True)
class Keys:
    """Who asks."""

    key: str = field(default_factory=lambda: "AK" + secrets.token_hex(9).upper())
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(30))


@dataclass(frozen=True)
class Store:
    """Its address and its owner, who may do all in it."""

    url: str
    owner: Keys
    folder: Path  # where it keeps buckets

    def environment(self, keys: Keys | None = None, *, url: str | None = None) -> dict[str, str]:
        """What a client needs, in the usual place."""
        keys = keys or self.owner
        return {
            "AWS_ACCESS_KEY_ID": keys.key,
            "AWS_SECRET_ACCESS_KEY": keys.secret,
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> s3fs.S3FileSystem:
        """For the tests' own use."""
        return s3fs.S3FileSystem(
            key=self.owner.key, secret=self.owner.secret, endpoint_url=self.url, use_listings_cache=False
        )

    def add_reader(self) -> Keys:
        """Somebody who may read and list the bucket, and write nothing."""
        reader = Keys()
        command = [find_server(), "admin", "--access", self.owner.key, "--secret", self.owner.secret]
        command += ["--endpoint-url", self.url, "create-user", "--access", reader.key, "--secret", reader.secret]
        subprocess.run([*command, "--role", "user"], check=True, capture_output=True)
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": [reader.key]},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client().call_s3("put_bucket_policy", Bucket=BUCKET, Policy=policy)
        return reader


def find_server() -> str:
    """The server's program; skips the test where it is not installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = shutil.which("versitygw", path=cache / _PATH.rpartition("/")[0])
    if found is None:
        pytest.skip("no S3 server: 'make store' installs one, and needs Go")
    return found


@contextmanager
def serve(folder: Path, *, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> Iterator[Store]:
    """A server with an empty bucket, and credentials of its own. `inside` is a command prefix, for another network."""
    objects, users = folder / "objects", folder / "users"
    for path in (objects / BUCKET, users):
        path.mkdir(parents=True)
    owner, port = Keys(), free_port(host)
    store = Store(f"http://{host}:{port}", owner, objects)
    command = [
        *inside,
        find_server(),
        "--port",
        f"{host}:{port}",
        "--iam-dir",
        str(users),
        "--quiet",
        "posix",
        str(objects),
    ]
    environment = {"ROOT_ACCESS_KEY": owner.key, "ROOT_SECRET_KEY": owner.secret}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
    try:
        _wait_for(host, port, process, folder / "log")
        yield store
    finally:
        process.kill()
        process.wait()


def free_port(host: str) -> int:
    """A port there that nobody listens on just now."""
    with socket.socket() as free:
        free.bind((host, 0))
        return free.getsockname()[1]


def _wait_for(host: str, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            break
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the S3 server did not start: {log.read_text()}")
