"""Titles of a run in parts: each is asked of its own adapter, in one batch with others, and few adapters are loaded."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer

from contract.errors import UserError
from contract.keys import part_of
from contract.text.profiles import find_profile
from trainer.answers.adapters import PartAdapters
from trainer.answers.answerer import Answerer
from trainer.engines.base import load_adapter, load_base
from trainer.examples.encoder import Encoder
from trainer.runs import names

PARTS = 5
TITLES = [f"Red Cotton number {number}" for number in range(8, 22)]
CPU = torch.device("cpu")


@pytest.fixture(name="run", scope="module")
def _run(micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters of 5 parts, of different ranks, each of which says something else."""
    run = tmp_path_factory.mktemp("run")
    for part in range(PARTS):
        torch.manual_seed(part)
        lora = LoraConfig(r=4 + part, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(load_base(str(micro_base), device=CPU), lora)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(run / names.part_name(part) / names.ADAPTER)
    return run


def answerer(model: PeftModel, base: Path, adapters: PartAdapters | None = None) -> Answerer:
    tokenizer = AutoTokenizer.from_pretrained(base)
    return Answerer(model, tokenizer, Encoder(tokenizer, max_length=128), find_profile("seed"), adapters)


def in_parts(run: Path, base: Path, *, most: int) -> Answerer:
    first = names.part_name(0)
    model = load_adapter(str(base), str(run / first / names.ADAPTER), device=CPU, name=first)
    return answerer(model, base, PartAdapters(model, run, parts=PARTS, most=most))


@pytest.fixture(name="alone", scope="module")
def _alone(run: Path, micro_base: Path) -> list[str]:
    """What plain PEFT answers with the adapter of each title's part."""
    folders = [run / names.part_name(part) / names.ADAPTER for part in range(PARTS)]
    of_parts = [answerer(load_adapter(str(micro_base), str(each), device=CPU), micro_base) for each in folders]
    return [of_parts[part_of(title, PARTS)].answer(title, max_new_tokens=8) for title in TITLES]


@pytest.mark.parametrize("most", [1, 2, 8])
def test_each_title_gets_the_answer_of_its_own_adapter(
    run: Path, micro_base: Path, alone: list[str], most: int
) -> None:
    assert {part_of(title, PARTS) for title in TITLES} == set(range(PARTS))
    asked = in_parts(run, micro_base, most=most)

    for _ in range(2):  # once more, when some of them have been unloaded
        assert asked.answers(TITLES, max_new_tokens=8) == alone
        assert len(asked.model.peft_config) == min(most, PARTS)
    assert [asked.answer(title, max_new_tokens=8) for title in TITLES] == alone
    assert len(asked.model.peft_config) == min(most, PARTS)


def test_without_adapters_all_parts_answer_as_the_base(run: Path, micro_base: Path, alone: list[str]) -> None:
    asked = in_parts(run, micro_base, most=2)
    before = asked.answers(TITLES, max_new_tokens=8, is_before=True)

    model = load_adapter(str(micro_base), str(run / "part-000" / names.ADAPTER), device=CPU)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.zeros_(parameter)  # the adapter adds nothing
    assert before == answerer(model, micro_base).answers(TITLES, max_new_tokens=8)
    assert before != alone


def test_a_part_without_an_adapter_is_named(run: Path, micro_base: Path) -> None:
    model = load_adapter(str(micro_base), str(run / "part-000" / names.ADAPTER), device=CPU, name="part-000")
    adapters = PartAdapters(model, run / "nowhere", parts=PARTS)
    title = next(title for title in TITLES if part_of(title, PARTS) == 3)

    with pytest.raises(UserError, match=r"no adapter could be loaded from .*nowhere/part-003/adapter"):
        adapters.load(adapters.name_of(title))
