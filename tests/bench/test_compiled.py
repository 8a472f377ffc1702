"""Kernels compiled for GPUs that are not there fit into the shared memory of these."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("triton")
from triton.runtime.jit import JITFunction

from bench.train.absent import SHARED_BYTES, absent_gpu, launch_layer
from bench.train.compiled import BASES, RANKS, compiled, main
from trainer.native.kernels import rows
from trainer.native.kernels.fitted import DoesNotFitError, FittedKernel

LAYER_KERNELS = 12
COMPILED = [capability for capability in SHARED_BYTES if capability >= (8, 0)]


@pytest.mark.slow
@pytest.mark.parametrize("capability", COMPILED)
def test_a_random_base_and_rank_fits_on_every_gpu(capability: tuple[int, int]) -> None:
    """The whole table is `python -m bench.train.compiled`."""
    draw = random.Random(str(capability))
    base = draw.choice([name for name, shape in BASES.items() if shape.head_dim <= 128])  # larger heads compile longer
    row = compiled(base, rank=draw.choice(RANKS), capability=capability, to_fp8=capability >= (9, 0))
    assert row["falls_back"] is None
    assert len({kernel for kernel, *_ in row["kernels"]}) >= LAYER_KERNELS - 1
    assert max(taken for _, taken, _ in row["kernels"]) <= SHARED_BYTES[capability]


@pytest.mark.slow
def test_kernels_that_do_not_fit_take_smaller_tiles_and_the_others_keep_theirs() -> None:
    columns = {}
    for capability in ((8, 0), (8, 9)):
        kernels = compiled("SmolLM2-135M", rank=64, capability=capability)["kernels"]
        columns[capability] = [tile for kernel, _, tile in kernels if kernel == "_swiglu_forward"]
    assert columns == {(8, 0): ["BT 64 BF 128 P 64 num_stages 3"], (8, 9): ["BT 64 BF 64 P 64 num_stages 3"]}


@pytest.mark.slow
def test_a_gpu_without_room_gets_one_line_and_no_launch() -> None:
    with (
        absent_gpu((8, 0), shared_bytes=2_048) as gpu,
        pytest.raises(DoesNotFitError, match=r"^_rows_forward takes [\d,]+ bytes .* this GPU has 2,048$"),
    ):
        launch_layer(BASES["SmolLM2-135M"], rank=16, dtype=torch.bfloat16, to_fp8=False)
    assert gpu.launches == []


@pytest.mark.slow
@pytest.mark.parametrize("to_fp8", [False, True])
def test_no_block_is_loaded_over_while_a_product_still_reads_it(to_fp8: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found, kernels = races(64, to_fp8, monkeypatch)
    assert found == set()
    assert len(kernels) >= LAYER_KERNELS - 1


@pytest.mark.slow
def test_a_single_buffer_for_a_block_that_is_used_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Triton 3.6 makes of a loop that loads ahead; on an H200 its products were wrong at rank 32 and 64."""
    monkeypatch.setattr(rows, "_ONE_AFTER_ANOTHER", rows._LOADED_AHEAD)
    launch = FittedKernel.launch
    monkeypatch.setattr(
        FittedKernel,
        "launch",
        lambda self, *args, **sizes: self.kernel is rows._rows_forward and launch(self, *args, **sizes),
    )
    assert races(16, False, monkeypatch) == ({"_rows_forward"}, {"_rows_forward"})


def races(rank: int, to_fp8: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], set[str]]:
    """Kernels of a layer on an H100 that copy into the only buffer of a product that may not have ended; and all."""
    compiled_kernels: list[Any] = []
    run = JITFunction.run
    monkeypatch.setattr(
        JITFunction,
        "run",
        lambda *args, **options: compiled_kernels.append(run(*args, **options)) or compiled_kernels[-1],
    )
    with absent_gpu((9, 0)):
        launch_layer(BASES["TinyLlama-1.1B"], rank=rank, dtype=torch.bfloat16, to_fp8=to_fp8)
    found = {each.metadata.name for each in compiled_kernels if races_in(each.asm["ttgir"])}
    return found, {each.metadata.name for each in compiled_kernels}


def races_in(ttgir: str) -> set[str]:
    """Single buffers that a loop copies into, and that a product reads of which one may be under way after its wait."""
    single = set(re.findall(r"(%\S+) = ttg\.local_alloc : \(\) -> !ttg\.memdesc<1x", ttgir))
    views = {name: of for name, of in re.findall(r"(%\S+) = ttg\.memdesc_index (%\w+)\[", ttgir) if of in single}
    found = set()
    for loop in re.findall(r"scf\.for .*?scf\.yield", ttgir, re.DOTALL):
        copied = {views.get(target) for target in re.findall(r"async_copy_global_to_local %\S+, (%\w+)", loop)}
        waits = re.findall(r"warp_group_dot_wait ([^{]*)\{pendings = [1-9]", loop)
        read = {views.get(name) for wait in waits for name in re.findall(r"%\w+", wait)}
        found |= copied & read - {None}
    return found


def test_what_triton_would_compile_badly_falls_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.json"
    main(["--capability", "7.5", "--base", "SmolLM2-135M", "--out", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert [row["rank"] for row in rows] == list(RANKS)
    assert {row["falls_back"] for row in rows} == {"they need a GPU of compute capability 8.0, this has 7.5"}
    assert "7.5, SmolLM2-135M: without kernels: they need a GPU" in capsys.readouterr().out
