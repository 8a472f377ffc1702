"""The study's step is PEFT's LoRA, its recall by forward pass is what generation returns, its laws fit."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import get_peft_model_state_dict
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from bench.learn.adapter import make_adapter
from bench.learn.base import Base, load_base
from bench.learn.catalogue import IGNORED, Catalogue, Ragged, StepShape, cut_into_steps, step_row
from bench.learn.fp8.__main__ import WAYS
from bench.learn.fp8.products import EXACT, hadamard, nearest
from bench.learn.fp8.training import Step
from bench.learn.fp8.training import train as train_in_a_way
from bench.learn.generation import compare, generate, peft_model
from bench.learn.grid import GRIDS, Recipe, recipes
from bench.learn.law import laws
from bench.learn.step import TrainStep, answer_losses, functions
from bench.learn.walk import Shelf, Walker

END = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("base")
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, initializer_range=0.2, bos_token_id=1, eos_token_id=END,
        pad_token_id=0,  # whose embedding is zero
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def base(folder: str) -> Base:
    return load_base(folder, device=torch.device("cpu"), dtype=torch.float32, longest=512)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    generator = np.random.default_rng(0)
    prompts = [[1, *generator.integers(3, 64, size=generator.integers(2, 5)).tolist()] for _ in range(12)]
    answers = [[*generator.integers(3, 64, size=generator.integers(1, 12)).tolist(), END] for _ in range(12)]
    return Catalogue(Ragged.of(answers), {"what_is": Ragged.of(prompts)})


@pytest.mark.parametrize("tokens", [20, 33, 64, 500])
def test_steps_hold_every_document_once_and_never_too_much(catalogue: Catalogue, tokens: int) -> None:
    shape = StepShape(tokens, documents=5, answers=tokens)
    documents = [(record, "what_is") for record in range(12)]

    steps = list(cut_into_steps(documents, catalogue, shape))
    rows = [step_row(step, catalogue, shape) for step in steps]

    assert [document for step in steps for document in step] == documents
    for step, row in zip(steps, rows, strict=True):
        ids, positions, bounds, places, targets, owners = np.split(row, np.cumsum(shape.parts)[:-1])
        for number, (record, _) in enumerate(step):
            begin, end = bounds[number], bounds[number + 1]
            assert ids[begin:end].tolist() == [*catalogue.prompts["what_is"][record], *catalogue.answers[record]]
            assert positions[begin:end].tolist() == list(range(end - begin))
            assert ids[places[owners == record] + 1].tolist() == targets[owners == record].tolist()
            assert targets[owners == record].tolist() == catalogue.answers[record].tolist()
        assert bounds[-1] == tokens
        assert (np.diff(bounds) >= 0).all()
        padding = np.diff(bounds)[len(step) :]
        assert positions[bounds[len(step)] :].tolist() == [at for each in padding for at in range(each)]


def test_loss_and_gradients_are_those_of_peft(folder: str, base: Base, catalogue: Catalogue) -> None:
    adapter = make_adapter(base, rank=3)
    step = TrainStep(base, adapter, StepShape(200, 14, 200), 12, functions(torch.device("cpu")))
    step.begin(Recipe(name="any", rank=3, alpha=6), 10)
    adapter.flat_b.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.1)
    documents = [(record, "what_is") for record in range(12)]
    step.row.copy_(torch.from_numpy(step_row(documents, catalogue, step.shape)))
    model = peft_model(folder, adapter, device=torch.device("cpu"), dtype=torch.float32)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)

    loss_A, _, grad_a, grad_b = step.backward()
    expected = sum(
        functional.cross_entropy(
            model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1], torch.tensor(answer).long(),
            reduction="sum",
        )
        for prompt, answer in ((catalogue.prompts["what_is"][each], catalogue.answers[each]) for each in range(12))
    ) / catalogue.answers.lengths.sum()  # fmt: skip
    expected.backward()

    assert loss_A.sum().item() / catalogue.answers.lengths.sum() == pytest.approx(expected.item(), rel=1e-5)
    by_name = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    for _, name, _, a, b in adapter.views(grad_a, grad_b):
        for kind, found in (("A", a), ("B", b)):
            for index, grad in enumerate(found):
                (wanted,) = [
                    each for key, each in by_name.items() if f".{index}." in key and f"{name}.lora_{kind}" in key
                ]
                torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-6)
    assert len(get_peft_model_state_dict(model)) == len(by_name)


def test_recall_by_forward_pass_is_that_of_generation(folder: str, base: Base, catalogue: Catalogue) -> None:
    walker = Walker(base, {"synth": Shelf(catalogue, catalogue)}, probe_tokens=64)
    recipe = Recipe(name="half", exposures=60, tokens_per_step=200, rank=16, alpha=64, rate=1e-2, marks=())

    point, adapter = walker.walk(recipe)
    records = list(range(12))
    recalled = walker.ask(adapter, catalogue, records, "what_is")
    model = peft_model(folder, adapter, device=torch.device("cpu"), dtype=torch.float32)
    made = generate(model, catalogue, records, wording="what_is", batch=5)

    found = compare(recalled, made, catalogue, records)
    assert found["different"] == 0
    assert found["whole_by_forward"] == found["whole_by_generation"] == point["after"]["seen"]["whole"]
    assert 0 < found["whole_by_forward"] <= 1
    assert point["curve"][-1]["seen"]["loss"] < point["before"]["seen"]["loss"]


def test_a_catalogue_knows_the_wordings_that_are_trained() -> None:
    """In the same order always, since a run draws from them by number."""
    nothing = Ragged.of([])
    catalogue = Catalogue(nothing, dict.fromkeys(("what_is", "held_sister", "brief", "o_que_e"), nothing))

    assert catalogue.wordings(("trained",)) == ("o_que_e", "what_is")
    assert catalogue.wordings(("all",)) == ("brief", "held_sister", "o_que_e", "what_is")
    assert catalogue.wordings(("what_is", "brief")) == ("what_is", "brief")


def test_records_that_came_back_rest(base: Base, catalogue: Catalogue) -> None:
    walker = Walker(base, {"synth": Shelf(catalogue, catalogue)}, probe_tokens=64)
    recipe = Recipe(name="rest", exposures=80, tokens_per_step=200, rank=16, alpha=64, rate=1e-2, rest=2, marks=())

    point, _ = walker.walk(recipe)

    assert point["after"]["seen"]["whole"] > 0.5


@pytest.mark.parametrize("name", sorted(GRIDS))
def test_every_grid_has_its_points_in_the_results(name: str) -> None:
    points = {point["settings"]["name"]: point["settings"] for point in _results()["points"]}

    for recipe in recipes(name):
        settings = json.loads(json.dumps(asdict(recipe)))
        assert settings | {"marks": None} == points[recipe.name] | {"marks": None}


def test_a_result_can_be_walked_again() -> None:
    settings = [point["settings"] for point in _results()["points"]]
    assert [json.loads(json.dumps(asdict(recipe))) for recipe in recipes("bench/results/learn-h100.json")] == settings


def test_the_laws_in_the_results_are_those_of_their_points() -> None:
    results = _results()

    found = laws(results["points"])

    for law, of_results in ((found["capacity"], results["laws"]["capacity"]), *_recall_laws(found, results["laws"])):
        assert law["coefficients"] == pytest.approx(of_results["coefficients"], rel=0.01, abs=1e-3)
        assert law["r_squared"] == pytest.approx(of_results["r_squared"], abs=1e-3)


def _recall_laws(*documents: dict[str, Any]) -> list[tuple[dict[str, Any], ...]]:
    return [tuple(document["recall"][optimizer] for document in documents) for optimizer in ("adamw", "muon")]


def _results() -> dict[str, Any]:
    return json.loads((Path(__file__).parents[2] / "bench/results/learn-h100.json").read_text())


def test_a_step_without_rounding_has_the_gradient_of_the_merged_step(base: Base, catalogue: Catalogue) -> None:
    recipe = Recipe(name="any", products=12, tokens_per_step=96, rank=3, alpha=6)
    step = Step(base, recipe, EXACT)
    step.adapter.flat_b.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.1)
    merged = TrainStep(base, step.adapter, step.shape, 12, functions(torch.device("cpu")))
    row = torch.from_numpy(step_row([(record, "what_is") for record in range(4)], catalogue, step.shape))
    merged.row.copy_(row)
    merged.knobs.copy_(torch.tensor([1, 0.9, 1, 2, 1]))
    expected = merged.backward()[2:]

    flats = [flat.clone().requires_grad_() for flat in (step.adapter.flat_a, step.adapter.flat_b)]
    parts = row.split(step.shape.parts)
    x_TC = step.hidden(parts, EXACT, flats)
    loss_A, _ = answer_losses(x_TC, *parts[3:5], base.norm_C, base.embedding_VC, base.config.rms_norm_eps)
    found = torch.autograd.grad(loss_A.sum() / (parts[4] != IGNORED).sum(), flats)

    for grad, right in zip(found, expected, strict=True):
        torch.testing.assert_close(grad, right, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("way", [WAYS[1], *WAYS[6:7], *WAYS[8:12]], ids=lambda way: way.name)
def test_each_way_of_rounding_learns_a_few_records(base: Base, catalogue: Catalogue, way: Any) -> None:
    recipe = Recipe(
        name="any", products=4, exposures=150, tokens_per_step=64, rank=8, alpha=16, rate=1e-2, beta2=0.99
    )  # fmt: skip
    found = train_in_a_way(base, {"seen": catalogue}, recipe, way)

    assert found["last_loss"] < 0.5  # from 5
    assert found["asked_as_trained"]["whole"] >= 0.5


def test_rounding_by_chance_is_right_on_average_and_rotating_twice_changes_nothing() -> None:
    torch.manual_seed(0)
    x_TK = torch.randn(1, 256).repeat(4_000, 1)
    by_chance = nearest(x_TK, by_chance=True)
    error = (nearest(x_TK, by_chance=False)[0] - x_TK[0]).abs().mean()

    assert len(by_chance[:, 0].unique()) == 2
    assert (by_chance.mean(0) - x_TK[0]).abs().mean() < error / 10
    matrix = hadamard(64, x_TK.device)
    torch.testing.assert_close(matrix @ matrix, torch.eye(64), rtol=0, atol=1e-6)
