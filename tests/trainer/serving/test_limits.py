"""Who may ask, how much at once, and what becomes of those who leave and of a server that is stopped."""

import contextlib
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest

from tests.trainer.serving.servers import Server, question, serving
from trainer.serving.connections import HEADERS_S

KEY = "a-key-of-nobody"
BEARER = {"Authorization": f"Bearer {KEY}"}
LONG = {"temperature": 2.0, "max_tokens": 200}
CHAT = "/v1/chat/completions"


@pytest.fixture(name="small", scope="module")
def _small(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key and with room for little."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "key").write_text(f"{KEY}\n")
    (folder / "key").chmod(0o600)
    options = ["--slots", "2", "--queue", "62", "--max-body", "4096", "--max-question", "100", "--timeout", "60"]
    options += ["--api-key-file", str(folder / "key"), "--allow-origin", "https://shop.example", "--no-sources"]
    with serving(run, *options, log=folder / "log") as server:
        yield server


def error_of(body: bytes) -> dict[str, object]:
    error = json.loads(body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def seeds_of_long_answers(server: Server, num: int) -> list[int]:
    """Seeds with which an answer reaches its limit; with most others it ends by itself before."""
    seeds: list[int] = []
    for first in range(0, 160, 16):
        body = question("Red red number 0", n=16, seed=first, **LONG)
        choices = json.loads(server.send("POST", CHAT, body, **BEARER)[1])["choices"]
        seeds += [first + choice["index"] for choice in choices if choice["finish_reason"] == "length"]
        if len(seeds) >= num:
            return seeds[:num]
    pytest.fail(f"of 160 answers only {len(seeds)} were long")


def wait_until_idle(server: Server, *, within_s: float) -> None:
    ends = time.monotonic() + within_s
    while load := server.load(**BEARER):
        assert time.monotonic() < ends, f"{load} answers are still computed or wait"
        time.sleep(0.02)


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/metrics", "/about"])
@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}, {"Authorization": "Bearer é"}]
)
def test_without_the_key_nothing_is_answered(small: Server, path: str, header: dict[str, str]) -> None:
    headers = {name: value.encode().decode("latin-1") for name, value in header.items()}
    status, body, _ = small.send("POST" if path == CHAT else "GET", path, None, **headers)

    assert (status, error_of(body)["type"], error_of(body)["code"]) == (401, "authentication_error", "invalid_api_key")


def test_the_client_gets_its_own_error_for_a_wrong_key_and_an_answer_for_the_right_one(small: Server) -> None:
    with pytest.raises(openai.AuthenticationError):
        small.client("wrong").models.list()
    assert small.client(KEY).chat.completions.create(**question("Red red number 0", max_tokens=1)).choices


@pytest.mark.parametrize("path", ["/", "/health", "/page/page.js"])
def test_health_and_the_page_are_open(small: Server, path: str) -> None:
    assert small.get(path)[0] == 200


def test_the_key_is_never_printed(small: Server) -> None:
    assert KEY not in small.log.read_text()
    assert KEY not in Path(f"/proc/{small.process.pid}/cmdline").read_text()


def test_a_body_that_is_too_large_or_no_json_is_refused_with_the_reason(small: Server) -> None:
    large = question("a" * 1_000_000)
    cases = [
        (413, small.send("POST", CHAT, large, **BEARER)),
        (415, small.send("POST", CHAT, b"{}", Content_Type="text/plain", **BEARER)),
        (400, small.send("POST", CHAT, b"{", **BEARER)),
        (400, small.send("POST", CHAT, b"\xff", **BEARER)),
        (400, small.send("POST", CHAT, b"[" * 4000, **BEARER)),
        (400, small.send("POST", CHAT, question("a" * 101), **BEARER)),
        (400, small.send("POST", CHAT, question("!?"), **BEARER)),
        (404, small.get("/nowhere", **BEARER)),
        (405, small.get(CHAT, **BEARER)),
    ]

    for expected, (status, body, _) in cases:
        assert (status, error_of(body)["type"]) == (expected, "invalid_request_error"), body


def test_a_body_in_pieces_is_no_way_round_the_limit(small: Server) -> None:
    connection = small.connect()
    pieces = (b'{"model": "' + b"a" * 1000 for _ in range(20))
    connection.request(
        "POST", CHAT, body=pieces, headers={"Content-Type": "application/json", **BEARER}, encode_chunked=True
    )

    assert connection.getresponse().status == 413


def test_one_too_many_is_refused_and_may_try_again(small: Server) -> None:
    body = question("Red red number 0", n=16, **LONG)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: small.send("POST", CHAT, body, **BEARER), range(8)))

    refused = [each for each in found if each[0] != 200]
    assert refused
    for status, error, headers in refused:
        assert (status, error_of(error)["type"]) == (429, "rate_limit_error")
        assert int(headers["retry-after"]) >= 1
    assert small.send("POST", CHAT, question("Red red number 0", max_tokens=1), **BEARER)[0] == 200


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_frees_the_slots_within_a_second(small: Server, stream: bool) -> None:
    connections = [small.connect() for _ in range(4)]
    for connection in connections:
        body = json.dumps(question("Red red number 0", n=16, stream=stream, **LONG))
        connection.request("POST", CHAT, body=body, headers={"Content-Type": "application/json", **BEARER})
    while small.load(**BEARER) < 40:
        time.sleep(0.01)
    for connection in connections:
        if stream:
            connection.getresponse().read(10)
        connection.close()

    wait_until_idle(small, within_s=1.0)
    assert re.search(r"^vitrine_left_total [1-9]", small.get("/metrics", **BEARER)[1].decode(), re.MULTILINE)


def test_other_names_of_this_machine_are_refused(small: Server) -> None:
    status, body, _ = small.get("/health", Host="evil.example")
    assert (status, error_of(body)["code"]) == (421, "unknown_host")
    for language, start in (("pt-BR,en;q=0.5", "Este servidor não responde"), ("de", "This server does not answer")):
        status, body, headers = small.get(
            "/", Host="evil.example", Accept="text/html,*/*", **{"Accept-Language": language}
        )
        assert (status, headers["content-type"]) == (421, "text/plain; charset=utf-8")
        assert body.decode().startswith(start)
    assert small.get("/health", Host="localhost:1")[0] == 200


def test_only_pages_of_the_allowed_origin_may_use_the_server(small: Server) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}

    status, _, headers = small.send("OPTIONS", CHAT, None, Origin="https://shop.example", **asked)
    assert (status, headers["access-control-allow-origin"]) == (200, "https://shop.example")
    status, _, headers = small.send("OPTIONS", CHAT, None, Origin="https://evil.example", **asked)
    assert status == 400
    assert "access-control-allow-origin" not in headers


def test_a_signal_finishes_what_runs_refuses_the_rest_and_exits_with_0(small: Server) -> None:
    """The last test of this server."""
    client, texts = small.client(KEY), [""] * 4
    begun, seeds = threading.Barrier(5), seeds_of_long_answers(small, 4)

    def ask(index: int) -> str:
        reasons = []
        for number, chunk in enumerate(
            client.chat.completions.create(**question("Red red number 0", stream=True, seed=seeds[index], **LONG))
        ):
            if number == 1:
                with contextlib.suppress(threading.BrokenBarrierError):
                    begun.wait(30)
            texts[index] += chunk.choices[0].delta.content or ""
            reasons.append(chunk.choices[0].finish_reason)
        return reasons[-1]

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, index) for index in range(4)]
        while small.load(**BEARER) < 4:
            time.sleep(0.01)
        small.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        status, body, _ = small.send("POST", CHAT, question("Red red number 0"), **BEARER)
        assert (status, error_of(body)["type"]) == (503, "server_error")
        assert small.get("/health")[0] == 503
        begun.abort()
        assert {each.result(60) for each in answers} <= {"stop", "length"}
    assert all(texts)
    assert small.process.wait(10) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--api-key-file", "nowhere"], "the key cannot be read from nowhere"),
        (["--api-key-file", "/dev/null"], "/dev/null holds no key"),
        (["--port", "70000"], "port = 70000"),
        (["--allow-origin", "*"], "expected an origin such as https://example.org"),
        (["--ground", "data", "--no-sources"], "ground and no-sources exclude each other"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(options: list[str], message: str, run: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"

    with pytest.raises(AssertionError, match=re.escape(message)), serving(run, *options, log=log):
        pass

    assert [line for line in log.read_text().splitlines() if not line.startswith("warning: ")] == [
        log.read_text().splitlines()[-1]
    ]


@pytest.mark.slow
def test_a_connection_whose_headers_do_not_come_is_closed(server: Server) -> None:
    address = urlsplit(server.url)
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(3)]
        _, slow, kept = places
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += kept.recv(4096)
        for place in (slow, kept):
            place.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        for place in places:
            place.settimeout(4 * HEADERS_S)
            assert place.recv(4096) == b""
        assert time.monotonic() - begun < 4 * HEADERS_S
    status, _, _ = server.send("POST", CHAT, question("Red red number 0", max_tokens=2))
    assert status == 200
