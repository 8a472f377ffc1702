"""`vitrine serve` under load, on one machine with its clients.

One client asks for a while, then many at once, every second answer as a stream. Then half of many leave in the middle
of their answers, and the others and the slots are watched. At last SIGTERM comes while answers run. The titles are the
examples that the server offers, so that answers end as they were trained to. A run may be measured several times.

    python -m bench.serve RUN
    python -m bench.serve RUN --clients 32 --seconds 60 --rounds 3 --name smollm2
"""

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.figures import RESULTS, spread
from bench.machine import machine, versions
from bench.serve.client import Address, Outcome, ask_until, body_of, connected, receive, send

_PACKAGES: Final = ("torch", "transformers", "peft", "fastapi", "uvicorn")
_WARM_UP_S: Final = 5.0
_LOOK_S: Final = 0.02
_LEAVE_WITHIN_S: Final = 1.0


def main(arguments: Sequence[str]) -> int:
    """Measures and writes the results; 1 if an aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--name", default="serve")
    options = parser.parse_args(arguments)
    rounds = [_round(options) for _ in range(options.rounds)]
    report = {
        "machine": machine(cores=len(os.sched_getaffinity(0)), load_before=round(os.getloadavg()[0], 1)),
        "versions": versions(_PACKAGES),
        "settings": {"clients": options.clients, "seconds": options.seconds, "max_tokens": options.max_tokens},
        "times_one_client": spread(each["times_one_client"] for each in rounds),
        "rounds": rounds,
    }
    RESULTS.joinpath(f"{options.name}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    missed = [aim for each in rounds for aim, is_met in each["aims"].items() if not is_met]
    print(f"aims missed: {', '.join(missed) or 'none'}", file=sys.stderr)
    return bool(missed)


def _round(options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "launch.cli", "serve", "--run", str(options.run), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said = ""
        while (found := re.search(r"at http://([\d.]+):(\d+)/", said)) is None:
            said += server.stderr.readline() or sys.exit(f"the server did not start: {said}")
        address = Address(found[1], int(found[2]))
        return asyncio.run(_measured(options, address, server))
    finally:
        server.kill()
        server.wait()


async def _measured(options: argparse.Namespace, address: Address, server: "subprocess.Popen[str]") -> dict[str, Any]:
    titles = json.loads(await _get(address, "/about"))["examples"]
    await _load(options, address, titles, clients=options.clients, seconds=_WARM_UP_S)
    one = await _load(options, address, titles, clients=1, seconds=options.seconds / 3)
    memory = asyncio.ensure_future(_memory(server.pid, seconds=options.seconds))
    many = await _load(options, address, titles, clients=options.clients, seconds=options.seconds)
    memory_mb = await memory
    leaving = await _leaving(options, address, titles)
    stopping = await _stopping(options, address, titles, server)
    settled = memory_mb[len(memory_mb) // 4 :]
    times = many["tokens_per_s"] / one["tokens_per_s"]
    aims = {
        "no error": not (one["errors"] or many["errors"]),
        "95 % of latencies within twice the median": many["latency_s"]["p95"] <= 2 * many["latency_s"]["median"],
        "memory is flat (3 % at most)": max(settled) <= 1.03 * settled[0],
        "slots come free within a second": leaving["slots_free_after_s"] <= _LEAVE_WITHIN_S,
        "a stop finishes what runs, refuses the rest, exits with 0": stopping["is_right"],
        "five times the tokens of one client": times >= 5,
    }
    return {
        "aims": aims,
        "times_one_client": times,
        "one": one,
        "many": many,
        "memory_mb": memory_mb,
        "leaving": leaving,
        "stopping": stopping,
    }


async def _load(
    options: argparse.Namespace, address: Address, titles: Sequence[str], *, clients: int, seconds: float
) -> dict[str, Any]:
    began = time.perf_counter()
    asking = (
        ask_until(address, titles, ends=began + seconds, first=number, max_tokens=options.max_tokens)
        for number in range(clients)
    )
    outcomes: list[Outcome] = await asyncio.gather(*asking)
    took = time.perf_counter() - began
    latencies = sorted(latency for each in outcomes for latency in each.latencies_s)
    if len(latencies) < 2:
        sys.exit(f"{clients} clients got {len(latencies)} answers in {seconds:.0f} s: give more --seconds")
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "answers": len(latencies),
        "answers_per_s": len(latencies) / took,
        "tokens_per_s": sum(each.num_tokens for each in outcomes) / took,
        "latency_s": {"median": cuts[49], "p95": cuts[94], "p99": cuts[98], "most": latencies[-1]},
        "errors": [error for each in outcomes for error in each.errors],
    }


async def _memory(pid: int, *, seconds: float, times: int = 12) -> list[float]:
    """The server's resident memory at equal distances."""
    found = []
    for _ in range(times):
        await asyncio.sleep(seconds / times)
        text = Path(f"/proc/{pid}/status").read_text()
        found.append(round(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1000, 1))
    return found


async def _get(address: Address, path: str) -> bytes:
    async with connected(address) as (reader, writer):
        await send(writer, None, path=path)
        return (await receive(reader))[1]


async def _num_taken(address: Address) -> int:
    text = (await _get(address, "/metrics")).decode()
    return sum(int(float(value)) for value in re.findall(r"^vitrine_(?:running|waiting) (\S+)$", text, re.MULTILINE))


async def _leaving(options: argparse.Namespace, address: Address, titles: Sequence[str]) -> dict[str, Any]:
    """Half of the clients leave while answers that are as good as endless run; then the others leave, too."""
    stayed = asyncio.Event()
    left = asyncio.Event()
    clients = [
        asyncio.ensure_future(_endless(address, titles[number % len(titles)], left if number % 2 else stayed))
        for number in range(options.clients)
    ]
    while await _num_taken(address) < options.clients:
        await asyncio.sleep(_LOOK_S)
    half_s = await _seconds_until(address, options.clients // 2, event=left)
    all_s = await _seconds_until(address, 0, event=stayed)
    await asyncio.gather(*clients)
    return {"clients": options.clients, "slots_free_after_s": max(half_s, all_s)}


async def _endless(address: Address, title: str, leaves: asyncio.Event) -> None:
    body = json.loads(body_of(title, stream=False, max_tokens=100_000)) | {"n": 1, "temperature": 2.0}
    async with connected(address) as (_, writer):
        await send(writer, json.dumps(body).encode())
        await leaves.wait()


async def _seconds_until(address: Address, num: int, *, event: asyncio.Event) -> float:
    event.set()
    began = time.perf_counter()
    while await _num_taken(address) > num:
        await asyncio.sleep(_LOOK_S)
    return time.perf_counter() - began


async def _stopping(
    options: argparse.Namespace, address: Address, titles: Sequence[str], server: "subprocess.Popen[str]"
) -> dict[str, Any]:
    """SIGTERM while answers run, and further requests after it."""
    body = json.loads(body_of(titles[0], stream=False, max_tokens=options.max_tokens)) | {"temperature": 2.0}

    async def ask() -> int:
        async with connected(address) as (reader, writer):
            await send(writer, json.dumps(body).encode())
            return (await receive(reader))[0]

    running = [asyncio.ensure_future(ask()) for _ in range(options.clients)]
    while await _num_taken(address) < options.clients:
        await asyncio.sleep(_LOOK_S)
    server.send_signal(signal.SIGTERM)
    await asyncio.sleep(_LOOK_S)
    late = await asyncio.gather(*(ask() for _ in range(4)), return_exceptions=True)
    finished = await asyncio.gather(*running, return_exceptions=True)
    code = await asyncio.to_thread(server.wait, 60)
    is_right = set(finished) == {200} and all(each == 503 or isinstance(each, ConnectionError) for each in late)
    is_right = is_right and code == 0
    return {"finished": len(finished), "late": [str(each) for each in late], "exit_code": code, "is_right": is_right}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
