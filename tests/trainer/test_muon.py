"""Muon: what an update is, and that it is the same whatever engine holds the adapter."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from tests.trainer.native.native_models import make_packs, make_peft_model
from trainer.config import TrainConfig
from trainer.engines.engine import Engine, NativeEngine, PlainEngine
from trainer.muon import AS_ADAMW, RATE_OF_UP, Matrices, Muon, orthogonal
from trainer.native import build_native
from trainer.recipes.recipe import SEED
from trainer.step import StepCounts, TrainState, count_step, make_train_state, train_step
from trainer.stream.packs import StepPacks

CONFIG = TrainConfig(data=("-",), run="-", weight_decay=0.0)
PACKS = tuple(make_packs([[17, 70, 5], [64, 1, 33]]))
ON = torch.zeros(())


def make_state(kind: str) -> TrainState:
    torch.manual_seed(0)
    model = make_peft_model("llama")
    engine: Engine = PlainEngine(model)
    if kind == "native":
        engine = NativeEngine(model, build_native(model, precision="bf16"), tokens_per_batch=256, precision="bf16")
    return make_train_state(engine, Accelerator(cpu=True), config=CONFIG, recipe=replace(SEED, optimizer="muon"))


def take_steps(state: TrainState, num: int) -> None:
    counts = StepCounts(*count_step(StepPacks(PACKS, {}), state.accelerator).get())
    for step in range(1, num + 1):
        batches = state.engine.batches(PACKS)
        train_step(state, batches, config=CONFIG, rate=1e-3, step=step, counts=counts)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 9), (8, 64), (64, 8), (24, 24), (64, 200)])
def test_a_direction_has_the_singular_vectors_of_its_matrix_and_values_near_one(rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    stacks = [torch.randn(num, rows, columns, generator=generator) for num in (2, 3)]
    for stack, direction in zip(stacks, orthogonal(stacks, is_off=ON), strict=True):
        u, s, vh = torch.linalg.svd(stack, full_matrices=False)
        values = u.mT @ direction @ vh.mT
        diagonal = values.diagonal(dim1=1, dim2=2)
        assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-4
        assert (diagonal[s > 0.02 * s.amax(1, keepdim=True)] - 1).abs().max() < 0.4


def test_matrices_of_nothing_stay_nothing() -> None:
    """B is zero at the beginning, and so is the gradient of A."""
    (direction,) = orthogonal([torch.zeros(2, 3, 5)], is_off=ON)
    assert torch.equal(direction, torch.zeros(2, 3, 5))


def test_an_update_has_the_size_that_adamw_has_and_b_moves_faster() -> None:
    down, up = torch.nn.Parameter(torch.zeros(8, 100)), torch.nn.Parameter(torch.zeros(60, 8))
    for each in (down, up):
        each.grad = torch.randn(each.shape, generator=torch.Generator().manual_seed(1))
    optimizer = Muon(
        [down, up],
        matrices=lambda tensors: Matrices([tensors[0][None]], [tensors[1][None]]),
        lr=1e-2,
        weight_decay=0.0,
    )
    optimizer.step()
    assert down.square().mean().sqrt().item() == pytest.approx(AS_ADAMW * 1e-2, rel=0.2)
    assert up.square().mean().sqrt().item() == pytest.approx(AS_ADAMW * 1e-2 * RATE_OF_UP, rel=0.2)


def test_momentum_goes_on_where_a_gradient_is_zero() -> None:
    matrices = torch.nn.Parameter(torch.zeros(4, 9))
    optimizer = Muon([matrices], matrices=lambda tensors: Matrices([tensors[0][None]], []), lr=1e-2, weight_decay=0.0)
    matrices.grad = torch.randn(matrices.shape, generator=torch.Generator().manual_seed(1))
    optimizer.step()
    first = matrices.detach().clone()
    matrices.grad = torch.zeros_like(matrices)
    optimizer.step()
    assert torch.allclose(matrices.detach(), 2 * first, rtol=1e-3)


def test_all_engines_are_updated_alike() -> None:
    states = {}
    for kind in ("plain", "native"):
        state = make_state(kind)
        take_steps(state, 3)
        state.engine.export_adapter()
        states[kind] = {name: each.detach() for name, each in state.engine.model.named_parameters() if "lora_" in name}
    before = dict(make_state("plain").engine.model.named_parameters())
    for name, value in states["plain"].items():
        assert not torch.equal(value, before[name])
        assert torch.allclose(value, states["native"][name], atol=2e-6), name


def test_an_update_goes_on_exactly_from_its_saved_state() -> None:
    whole = make_state("native")
    take_steps(whole, 2)
    saved, values = deepcopy(whole.optimizer.state_dict()), whole.engine.parameters()[0].detach().clone()
    again = make_state("native")
    again.optimizer.load_state_dict(saved)
    with torch.no_grad():
        again.engine.parameters()[0].copy_(values)
    for state in (whole, again):
        take_steps(state, 1)
    assert torch.equal(*(state.engine.parameters()[0] for state in (whole, again)))
