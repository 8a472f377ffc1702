"""The kernels are served wherever they fit and work; where not, the layer is computed without them, in one line."""

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from torch import Tensor

from tests.trainer.native.native_models import make_packs, make_peft_model
from trainer.engines.engine import NativeEngine, _named
from trainer.native import build_native, make_batches, with_kernels_that_work
from trainer.native import loss as native_loss
from trainer.native.kernels.sizes import ATTENTION_BLOCK, ROWS, Tile, attention_tiles, tiles, why_no_kernels
from trainer.native.layer import Layer, Tables
from trainer.native.model import LayerFunction
from trainer.native.reference import reference_layer


@pytest.mark.parametrize(
    ("capability", "sizes", "reason"),
    [
        (None, {}, "there is no GPU"),
        ((7, 5), {}, "they need a GPU of compute capability 8.0, this has 7.5"),
        ((8, 0), {"columns": (576, 1_000)}, "they need sizes that 32 divides, this base has 1000"),
        ((12, 0), {"head_dim": 512}, "they need heads of up to 256 columns that 16 divides, this base has 512"),
        ((12, 0), {"head_dim": 72}, "they need heads of up to 256 columns that 16 divides, this base has 72"),
        ((9, 0), {"columns": (576, 1_536), "head_dim": 96}, None),
    ],
)
def test_what_cannot_be_served_has_a_reason_in_one_line(
    capability: tuple[int, int] | None, sizes: dict[str, Any], reason: str | None
) -> None:
    assert why_no_kernels(capability, **{"head_dim": 64, **sizes}) == reason


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_tiles_begin_with_those_that_speed_was_measured_with_and_get_smaller(stages: int) -> None:
    for columns in (64, 128):
        found = tiles(columns=columns, stages=stages)
        assert found[0] == Tile(ROWS, columns, stages)
        for one, other in itertools.pairwise(found):
            assert one.rows >= other.rows
            assert one.columns >= other.columns
            assert one.stages >= other.stages
        assert all(ROWS % tile.rows == 0 for tile in found)
    found = attention_tiles(stages=stages)
    assert found[0].stages == stages
    assert all(ATTENTION_BLOCK % tile.rows == 0 for tile in found)
    assert len(set(found)) == len(found)


def fails(*_: object) -> Tensor:
    triton_errors = pytest.importorskip("triton.runtime.errors")
    raise triton_errors.OutOfResources(188_416, 166_912, "shared memory")


def forgets_the_adapter(x_TC: Tensor, values_P: Tensor, layer: Layer, tables: Tables) -> Tensor:
    return reference_layer(x_TC, 1e-3 * values_P, layer, tables)


def takes_a_part_of_the_adapter(x_TC: Tensor, values_P: Tensor, layer: Layer, tables: Tables) -> Tensor:
    return reference_layer(x_TC, 0.9 * values_P, layer, tables)


def is_no_number(x_TC: Tensor, values_P: Tensor, layer: Layer, tables: Tables) -> Tensor:
    return reference_layer(x_TC, values_P, layer, tables) * float("nan")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (fails, "they fail on this GPU (OutOfResources: out of resource: shared memory, Required: 188416"),
        (forgets_the_adapter, "on this GPU they are 1 of its size away"),
        (takes_a_part_of_the_adapter, "on this GPU they are 0."),
        (is_no_number, "on this GPU they are nan of its size away"),
    ],
)
def test_kernels_that_do_not_work_are_left_out_with_one_line(function: LayerFunction, reason: str) -> None:
    model = make_peft_model("llama")
    native = with_kernels_that_work(build_native(model, precision="bf16", layer_function=function))
    assert native.layer_function is reference_layer
    assert native.without_kernels.startswith(reason)
    (batch,) = make_batches(make_packs([[17, 70]]), max_tokens=128)
    assert native.loss(batch).isfinite()
    _, line = _named(NativeEngine(model, native, 128, "bf16"), "as asked for")
    assert f"layers computed without kernels: {reason}" in line
    assert "\n" not in line


def test_kernels_that_work_stay() -> None:
    same = partial(reference_layer)
    native = build_native(make_peft_model("qwen3-norms"), precision="bf16", layer_function=same)
    kept = with_kernels_that_work(native)
    assert kept is native
    wrong = replace(
        native, entropy=lambda logits_AV, targets_A: -native_loss.cross_entropy_in_place(logits_AV, targets_A)
    )
    assert with_kernels_that_work(wrong).entropy is native_loss.cross_entropy_in_place
