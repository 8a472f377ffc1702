"""Each engine's scores are those of the model's own logits, token by token."""

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from tests.trainer.native.native_models import make_packs, make_peft_model
from trainer.engines import scores as unit
from trainer.engines.base import packed_logits
from trainer.engines.engine import Engine, NativeEngine, PlainEngine
from trainer.engines.unsloth_engine import UnslothEngine
from trainer.examples.encoder import Example, Pack
from trainer.examples.tensors import pack_tensors
from trainer.native import Scores, build_native
from trainer.native import loss as native_loss

PACKS = [*make_packs([[17, 70, 5], [64, 1, 33], [90]]), Pack(()), Pack((Example(9, [1, 2, 3], 3, 0),))]
ENGINES: dict[str, Callable[[PeftModel], Engine]] = {
    "plain": PlainEngine,
    "native": lambda model: NativeEngine(model, build_native(model, precision="bf16"), 128, "bf16"),
    # Without the library: its layers are those of transformers on a CPU, given other arguments.
    "unsloth": lambda model: UnslothEngine(_TakesLengths(model), tokens_per_batch=128),  # type: ignore[arg-type]
}


class _TakesLengths:
    """A model that takes the lengths of documents, as Unsloth's do."""

    def __init__(self, model: PeftModel) -> None:
        self._model = model

    def __call__(self, *, packed_seq_lengths: torch.Tensor, **inputs):
        assert packed_seq_lengths.sum() == inputs["input_ids"].shape[1]
        return self._model(**inputs)

    def __getattr__(self, name: str):
        return getattr(self._model, name)


def scores_of(engine: Engine) -> Scores:
    found = [engine.scores(batch) for batch in engine.batches(PACKS)]
    return Scores(torch.cat([each.loss_A for each in found]), torch.cat([each.is_right_A for each in found]))


def expected_scores(model: PeftModel) -> Scores:
    """One example at a time, from the model's own logits."""
    losses, rights = [], []
    for example in (example for pack in PACKS for example in pack.examples):
        if example.num_prompt < len(example.ids):
            ids_T, positions_T, _ = pack_tensors(Pack((example,)), device=torch.device("cpu"))
            indices_A = torch.arange(example.num_prompt - 1, len(example.ids) - 1)
            logits_AV = packed_logits(model, ids_T, positions_T, indices_A).detach()
            losses.append(-logits_AV.log_softmax(1)[range(len(indices_A)), ids_T[example.num_prompt :]])
            rights.append(logits_AV.argmax(1) == ids_T[example.num_prompt :])
    return Scores(torch.cat(losses), torch.cat(rights))


@pytest.mark.parametrize("chunk_logits", [1, 96 * 40, 2**27])
@pytest.mark.parametrize("family", ["llama-tied", "qwen3-norms"])
@pytest.mark.parametrize("engine", ENGINES)
def test_scores_are_those_of_the_models_logits_in_the_order_of_the_batch(
    engine: str, family: str, chunk_logits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_loss, "CHUNK_LOGITS", chunk_logits)
    monkeypatch.setattr(unit, "CHUNK_LOGITS", chunk_logits)
    model = make_peft_model(family)
    expected = expected_scores(model)
    assert 0 < expected.is_right_A.sum() < len(expected.is_right_A)

    scores = scores_of(ENGINES[engine](model))

    torch.testing.assert_close(scores.loss_A, expected.loss_A, rtol=1e-4, atol=1e-4)
    assert torch.equal(scores.is_right_A, expected.is_right_A)
    assert not scores.loss_A.requires_grad


@pytest.mark.parametrize("engine", ENGINES)
def test_of_words_with_the_same_logit_the_first_is_the_answer(engine: str) -> None:
    model = make_peft_model("llama")
    head = model.get_output_embeddings().weight
    head.data[:] = head.data[:1]  # every word gets the same logit

    scores = scores_of(ENGINES[engine](model))

    answers = [id_ for pack in PACKS for each in pack.examples for id_ in each.ids[each.num_prompt :]]
    assert scores.is_right_A.tolist() == [answer == 0 for answer in answers]
    assert scores.is_right_A.sum() > 0


@pytest.mark.parametrize("is_training", [True, False])
def test_scores_have_no_dropout_and_leave_mode_and_random_numbers_as_they_were(is_training: bool) -> None:
    model = make_peft_model("llama")
    base = model.unload()
    dropping = get_peft_model(base, LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear"))
    for name, parameter in dropping.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    engine = PlainEngine(dropping.train(is_training))
    before = torch.get_rng_state()

    first, second = scores_of(engine), scores_of(engine)

    assert torch.equal(first.loss_A, second.loss_A)
    assert torch.equal(torch.get_rng_state(), before)
    assert {module.training for module in dropping.modules()} == {is_training}
