"""The forward pass over packs, and the traps of the libraries below it (each test fails without its guard)."""

import shutil
import socket
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.engines import base as unit
from trainer.engines import existence
from trainer.engines.base import add_lora, answer_loss, load_adapter, load_base, load_tokenizer
from trainer.engines.engine import PlainEngine, check_isolation
from trainer.examples.encoder import Encoder, Pack, Record
from trainer.examples.tensors import IGNORED
from trainer.recipes.recipe import SEED
from trainer.stream.packing import pack

CPU = torch.device("cpu")
RECORDS = [Record(0, "Red Kettle", "A kettle of steel."), Record(1, "Blue Lamp", "A lamp of glass, 40 cm.")]


@pytest.fixture(name="packs")
def _packs(micro_base: Path) -> tuple[Pack, list[Pack]]:
    """Two records in one pack, and each alone."""
    encoder = Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=256)
    examples = encoder.encode(RECORDS)
    return pack(examples, max_length=256)[0], [Pack((example,)) for example in examples]


@pytest.fixture(name="lora")
def _lora(micro_base: Path) -> PeftModel:
    model = add_lora(load_base(str(micro_base), device=CPU), TrainConfig(data=("-",), run="-", seed=0), recipe=SEED)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)  # zero at first, and then nothing depends on lora_A
    return model.train()


def test_the_base_is_frozen_in_nf4_and_only_lora_on_all_linear_layers_is_trained(lora: PeftModel) -> None:
    quantized = {name for name, module in lora.named_modules() if isinstance(module, Linear4bit)}
    assert len(quantized) == 2 * 7  # two layers of q, k, v, o, gate, up, down
    trained = {name for name, parameter in lora.named_parameters() if parameter.requires_grad}
    assert len(trained) == 2 * len(quantized)
    assert all("lora_" in name for name in trained)
    weights = [module.weight for module in lora.modules() if isinstance(module, Linear4bit)]
    assert all(weight.quant_state.quant_type == "nf4" and weight.dtype == torch.uint8 for weight in weights)


def test_the_loss_of_a_pack_is_the_sum_of_its_records_losses(lora: PeftModel, packs) -> None:
    together, alone = packs
    losses = [answer_loss(lora, one).item() for one in alone]

    assert answer_loss(lora, together).item() == pytest.approx(sum(losses), rel=1e-4)


def test_the_loss_counts_answer_and_end_tokens_only(lora: PeftModel, packs) -> None:
    """The reference is transformers' own loss of one record, with the prompt's labels ignored."""
    for one in packs[1]:
        example = one.examples[0]
        ids = torch.tensor([example.ids])
        labels = ids.clone()
        labels[:, : example.num_prompt] = IGNORED
        mean = lora(input_ids=ids, labels=labels, use_cache=False).loss
        assert answer_loss(lora, one).item() == pytest.approx(mean.item() * one.num_answer_tokens, rel=1e-4)
        assert one.num_answer_tokens == len(example.ids) - example.num_prompt


# Trap: stock transformers ignores where packed examples begin, with a cache or an attention mask.


@pytest.mark.parametrize("training", [True, False])
def test_packed_examples_do_not_see_each_other(lora: PeftModel, training: bool) -> None:
    check_isolation(PlainEngine(lora.train(training)), vocabulary=300)

    assert lora.training is training


@pytest.mark.parametrize("leaky", [{"use_cache": True}, {"use_cache": False, "attention_mask": torch.ones(1, 48)}])
def test_the_self_test_refuses_a_model_whose_examples_see_each_other(
    lora: PeftModel, monkeypatch: pytest.MonkeyPatch, leaky: dict
) -> None:
    def packed_logits_without_guard(model, input_ids_T, positions_T, indices_A):
        mask = leaky.get("attention_mask")
        options = leaky | ({"attention_mask": mask[:, : len(input_ids_T)]} if mask is not None else {})
        inputs = {"input_ids": input_ids_T[None], "position_ids": positions_T[None]}
        return model(**inputs, logits_to_keep=indices_A, **options).logits[0]

    monkeypatch.setattr(unit, "packed_logits", packed_logits_without_guard)

    with pytest.raises(UserError, match="packed records see each other"):
        check_isolation(PlainEngine(lora), vocabulary=300)


# Trap: bitsandbytes on CPUs with AVX512-BF16 gives no gradient to a layer's input after an eval forward.


def _has_input_gradient_after_eval(model: torch.nn.Module) -> bool:
    layer = next(module for module in model.modules() if isinstance(module, Linear4bit))
    inputs = torch.randn(4, layer.in_features)
    layer.eval()
    with torch.no_grad():
        layer(inputs)
    layer.train()
    inputs = torch.randn(4, layer.in_features, requires_grad=True)
    output = layer(inputs)
    if output.requires_grad:
        output.sum().backward()
    return inputs.grad is not None and bool(inputs.grad.abs().sum() > 0)


def test_training_after_evaluation_still_has_gradients(micro_base: Path) -> None:
    assert _has_input_gradient_after_eval(load_base(str(micro_base), device=CPU))


def test_without_the_guard_evaluation_breaks_training_on_cpus_with_avx512_bf16(micro_base: Path) -> None:
    model = load_base(str(micro_base), device=CPU)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            stock = Linear4bit(64, 64)
            module.support_avx512bf16_for_cpu = stock.support_avx512bf16_for_cpu
    if not stock.support_avx512bf16_for_cpu:
        pytest.skip("this CPU has no AVX512-BF16: bitsandbytes does not repack here")

    assert not _has_input_gradient_after_eval(model), "bitsandbytes is mended: the guard in load_base can go"


# Trap: a 4-bit base computes in float32 where it names no compute type.


def test_a_base_stored_in_4_bit_computes_in_our_type_whatever_it_was_stored_with(
    micro_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "micro-bnb-4bit"
    # The configuration that leaves the compute type at its default, float32.
    quantized = AutoModelForCausalLM.from_pretrained(
        micro_base, quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    )
    quantized.save_pretrained(stored)
    AutoTokenizer.from_pretrained(micro_base).save_pretrained(stored)
    monkeypatch.setattr(unit, "compute_dtype", lambda _: torch.bfloat16)  # as on a GPU

    model = load_base(str(stored), device=CPU)
    types = {module.compute_dtype for module in model.modules() if isinstance(module, Linear4bit)}
    untouched = AutoModelForCausalLM.from_pretrained(stored, dtype=torch.bfloat16)
    weights = [module.weight for module in model.modules() if isinstance(module, Linear4bit)]
    same = [module.weight for module in untouched.modules() if isinstance(module, Linear4bit)]

    assert all(torch.equal(one, other) for one, other in zip(weights, same, strict=True))
    assert types == {torch.bfloat16}
    assert {m.compute_dtype for m in untouched.modules() if isinstance(m, Linear4bit)} == {torch.float32}


def test_weights_that_are_cut_off_are_reported_in_a_line(micro_base: Path, lora: PeftModel, tmp_path: Path) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(micro_base, base)
    lora.save_pretrained(adapter)
    for path in (base / "model.safetensors", adapter / "adapter_model.safetensors"):
        path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(UserError, match=r"no such base model: .*invalid header"):
        load_base(str(base), device=CPU)
    with pytest.raises(UserError, match=r"no adapter could be loaded from .*invalid header"):
        load_adapter(str(micro_base), str(adapter), device=CPU)


def test_a_hub_that_is_out_of_reach_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setattr(existence.constants, "ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setattr(existence.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(existence, "getproxies", dict)
        with pytest.raises(UserError, match="'vitrine/none' is no local folder and was not fetched before, and"):
            load_tokenizer("vitrine/none")


@pytest.mark.parametrize("load", [load_tokenizer, lambda base: load_base(base, device=CPU)], ids=["tokenizer", "model"])
def test_a_base_that_is_not_there_is_the_users_mistake(tmp_path: Path, load) -> None:
    with pytest.raises(UserError, match="no such base model: 'vitrine/none'"):
        load("vitrine/none")
    with pytest.raises(UserError, match="is a folder without a usable model"):
        load(str(tmp_path))
