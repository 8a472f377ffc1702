"""How bench.train runs the measured processes, and compares their losses."""

import argparse
import itertools
import json
import time
from pathlib import Path

import pytest

from bench.train.__main__ import commands, fp8_difference, run_all

_CHILD = """
import json, os, sys, time
started = time.time()
time.sleep(0.3)
if sys.argv[1] == "fails":
    raise SystemExit("no")
gpu = os.environ["CUDA_VISIBLE_DEVICES"]
print("RESULT", json.dumps({"variant": sys.argv[1], "seen": gpu, "started": started, "ended": time.time()}))
"""


@pytest.mark.parametrize("num_gpus", [1, 2, 3])
def test_each_gpu_runs_one_variant_at_a_time_and_a_failed_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_gpus: int
) -> None:
    (tmp_path / "measured.py").write_text(_CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    names = ["a", "b", "fails", "c", "d"]
    ended = {command[1]: result for command, result in run_all([["measured", n] for n in names], num_gpus=num_gpus)}

    assert ended.pop("fails")["failed"] == "exit code 1: no"
    results = list(ended.values())
    assert sorted(result["variant"] for result in results) == ["a", "b", "c", "d"]
    assert all(result["seen"] == str(result["gpu"]) for result in results)
    for gpu in range(num_gpus):
        times = sorted((result["started"], result["ended"]) for result in results if result["gpu"] == gpu)
        assert all(ended <= started for (_, ended), (started, _) in itertools.pairwise(times))


def test_no_variant_begins_after_the_time_is_over_and_a_slow_one_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "measured.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    until = time.monotonic() + 0.5
    results = list(run_all([["measured", "a"], ["measured", "b"]], num_gpus=1, until=until, limit_s=1))

    assert results == [(["measured", "a"], {"failed": "took more than 1 s", "gpu": 0})]


@pytest.mark.parametrize(("only", "num_ours", "num_peers"), [("ours", 7, 0), ("peers", 0, 6), (None, 7, 6)])
def test_peers_and_ours_are_measured_in_one_run(only: str | None, num_ours: int, num_peers: int) -> None:
    options = argparse.Namespace(only=only, steps=100, parity_steps=300)

    modules = [command[0] for command in commands(options, "folder")]

    assert (modules.count("bench.train.ours"), modules.count("bench.train.peers")) == (num_ours, num_peers)


def test_losses_in_fp8_are_compared_with_those_in_nf4_step_by_step() -> None:
    nf4, fp8 = {"variant": "ours, nf4", "losses": [4.0, 2.0]}, {"variant": "ours, fp8", "losses": [4.0, 2.01]}

    assert fp8_difference([nf4]) is None
    found = fp8_difference([fp8, nf4])
    assert found is not None
    assert found["most"] == pytest.approx(0.005)
    assert json.dumps(found)
