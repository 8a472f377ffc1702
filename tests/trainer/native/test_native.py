"""The native engine against plain transformers + PEFT: same logits, same loss, same gradients, same adapter files."""

import dataclasses
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from contract.errors import UserError
from tests.trainer.native.native_models import FAMILIES, add_adapter, make_packs, make_peft_model
from trainer.engines.base import answer_loss, load_base, packed_logits
from trainer.examples.tensors import IGNORED, pack_tensors
from trainer.native import Batch, NativeModel, Precision, build_native, make_batches, reference
from trainer.native import loss as native_loss
from trainer.native.adapter import AdapterLayout
from trainer.native.families import FAMILIES as KNOWN_FAMILIES
from trainer.native.frozen import dense_weight
from trainer.native.kernels.rounding import quantize_rows
from trainer.native.layer import make_tables
from trainer.native.reference import reference_layer
from trainer.native.shape import Shape
from trainer.native.trial import document_leakage

LENGTHS = [[17, 70, 5], [64, 1, 33], [90]]
CPU = torch.device("cpu")


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(first.flatten().double(), second.flatten().double(), dim=0).item()


def plain_gradients(model: PeftModel, packs: list) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = sum(answer_loss(model, pack) for pack in packs)
    loss.backward()
    names = {name.replace(".default", ""): parameter for name, parameter in model.named_parameters()}
    return loss.item(), {name: parameter.grad for name, parameter in names.items() if parameter.requires_grad}


def native_gradients(native: NativeModel, packs: list, max_tokens: int = 256) -> tuple[float, dict[str, torch.Tensor]]:
    native.adapter_LP.grad = None
    total = 0.0
    for batch in make_batches(packs, max_tokens=max_tokens):
        loss = native.loss(batch)
        loss.backward()
        total += loss.item()
    return total, dict(native.layout.named(native.adapter_LP.grad))


def test_every_known_family_has_a_small_model() -> None:
    assert {make().config.model_type for make in FAMILIES.values()} == set(KNOWN_FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_loss_and_gradients_are_those_of_peft(family: str) -> None:
    model, packs = make_peft_model(family), make_packs(LENGTHS)
    native = build_native(model, precision="bf16")
    (batch,) = make_batches(packs[:1], max_tokens=128)
    ids_T, positions_T, _ = pack_tensors(packs[0], device=CPU)
    indices_A = batch.answer_indices_A[: batch.num_answer_tokens]
    expected = packed_logits(model, ids_T, positions_T, indices_A)
    torch.testing.assert_close(native.logits(batch)[: len(indices_A)], expected, rtol=1e-4, atol=1e-4)

    expected_loss, expected_gradients = plain_gradients(model, packs)
    loss, gradients = native_gradients(native, packs)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        assert cosine(gradient, expected_gradients[name]) > 0.99999, name
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.parametrize("max_tokens", [96, 128, 300, 1024])
def test_loss_does_not_depend_on_the_batches(max_tokens: int) -> None:
    native, packs = build_native(make_peft_model("llama"), precision="bf16"), make_packs(LENGTHS)
    expected_loss, expected = native_gradients(native, packs, max_tokens=2048)
    loss, gradients = native_gradients(native, packs, max_tokens=max_tokens)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert all(cosine(gradients[name], expected[name]) > 0.99999 for name in expected)


def test_documents_do_not_see_each_other() -> None:
    native = build_native(make_peft_model("llama"), precision="bf16")
    first, second = make_packs([[40, 30], [25, 30]])
    second = dataclasses.replace(second, examples=(second.examples[0], first.examples[1]))
    logits = []
    for pack in (first, second):
        (batch,) = make_batches([pack], max_tokens=128)
        logits.append(native.logits(batch)[: batch.num_answer_tokens][-20:])
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)


def test_self_test_finds_document_leakage(monkeypatch: pytest.MonkeyPatch) -> None:
    native = build_native(make_peft_model("llama"), precision="bf16")
    assert document_leakage(native, vocabulary=96) < 1e-5

    def blind(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, batch: Batch) -> torch.Tensor:
        return attention(q, k, v, dataclasses.replace(batch, lengths=(len(batch.ids_T),)))

    attention = reference.attention
    monkeypatch.setattr(reference, "attention", blind)
    assert document_leakage(native, vocabulary=96) > 0.05


def test_recomputed_layers_give_the_same_gradients() -> None:
    model, packs = make_peft_model("llama"), make_packs(LENGTHS)
    _, expected = native_gradients(build_native(model, precision="bf16"), packs)
    _, gradients = native_gradients(build_native(model, precision="bf16", num_recomputed=1), packs)
    assert all(torch.equal(gradients[name], expected[name]) for name in expected)


def share_kept(found: torch.Tensor, right: torch.Tensor) -> float:
    """How much of `right` there is in `found`, on the mean over all values."""
    return ((found.double() * right.double()).sum() / right.double().square().sum()).item()


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_the_output_of_a_freshly_initialised_adapter_is_not_lost_in_rounding(precision: Precision) -> None:
    """It is far below half a step of a value in 16 bit. On average it still moves the values by as much."""
    model, x_TC = make_peft_model("llama"), torch.randn(2_048, 64).bfloat16()
    (batch,) = make_batches(make_packs([[128] * 16]), max_tokens=2_048)
    outputs = []
    for dtype in (torch.float32, torch.bfloat16):
        native = build_native(model.to(dtype), precision="bf16" if dtype == torch.float32 else precision)
        values_P = native.adapter_LP[0].detach()
        for name, matrix in native.layout.named(native.adapter_LP.detach()):
            matrix *= 3e-3 if "lora_B" in name else 1
        layer = partial(reference_layer, layer=native.layers[0], tables=make_tables(batch, native.rope))
        outputs.append(layer(x_TC.to(dtype), values_P) - layer(x_TC.to(dtype), torch.zeros_like(values_P)))
    assert share_kept(outputs[1], outputs[0]) == pytest.approx(1, abs=0.1)


def test_peft_loses_most_of_the_output_of_a_freshly_initialised_adapter() -> None:
    """Why plain losses in 16 bit fall late (docs/LOG.md). Once this fails, that entry of the log can go."""
    module = make_peft_model("llama").to(torch.bfloat16).get_base_model().model.layers[0].self_attn.q_proj
    down, up = module.lora_A["default"].weight, module.lora_B["default"].weight
    with torch.no_grad():
        up *= 3e-3
        x_TC = torch.randn(2_048, 64).bfloat16()
        right = x_TC.float() @ down.float().T @ up.float().T * module.scaling["default"]
        assert share_kept(module(x_TC) - module.base_layer(x_TC), right) < 0.5


@pytest.mark.parametrize("num_ignored", [0, 3, 50])
def test_chunked_loss_is_cross_entropy(num_ignored: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_loss, "CHUNK_LOGITS", 16 * 96)
    torch.manual_seed(0)
    x = torch.randn(70, 32, requires_grad=True)
    indices, targets = torch.randperm(70)[:50], torch.randint(96, (50,))
    targets[50 - num_ignored :] = IGNORED
    norm, weight = torch.rand(32) + 0.5, torch.randn(96, 32)
    loss = native_loss.answer_loss(
        x, native_loss.Head(norm, 1e-5, weight),
        answer_indices_A=indices, targets_A=targets, entropy=native_loss.cross_entropy_in_place,
    )  # fmt: skip
    (gradient,) = torch.autograd.grad(loss * 0.25, x)
    logits = torch.nn.functional.rms_norm(x, (32,), norm, 1e-5)[indices] @ weight.T
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected * 0.25, x)[0], rtol=1e-4, atol=1e-6)


@pytest.fixture(name="stored", scope="module")
def _stored(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small Llama in a folder, of a size that NF4's blocks divide."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    sizes = {"vocab_size": 96, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)).save_pretrained(folder)
    return str(folder)


def test_nf4_and_dequantised_bases_are_the_function_of_peft(stored: str) -> None:
    model, packs = add_adapter(load_base(stored, device=CPU)), make_packs(LENGTHS)
    expected_loss, expected = plain_gradients(model, packs)
    for precision in ("nf4", "bf16"):
        loss, gradients = native_gradients(build_native(model, precision=precision), packs)
        assert loss == pytest.approx(expected_loss, rel=1e-5), precision
        assert all(cosine(gradients[name], expected[name]) > 0.9999 for name in expected), precision


def test_fp8_base_is_near_the_nf4_one(stored: str) -> None:
    model, packs = add_adapter(load_base(stored, device=CPU)), make_packs(LENGTHS)
    expected_loss, expected = native_gradients(build_native(model, precision="nf4"), packs)
    loss, gradients = native_gradients(build_native(model, precision="fp8"), packs)
    assert loss == pytest.approx(expected_loss, rel=3e-3)
    assert all(cosine(gradients[name], expected[name]) > 0.99 for name in expected)


def test_fp8_rows_keep_three_bits_of_mantissa() -> None:
    x = torch.randn(33, 64) * torch.logspace(-6, 6, 33)[:, None]
    x[5] = 0
    error = (quantize_rows(x).dense(torch.float32) - x).abs().amax(1)
    assert (error <= x.abs().amax(1) / 16).all()


@pytest.mark.parametrize("family", ["llama", "qwen3-norms"])
def test_adapter_goes_to_peft_and_back(family: str, tmp_path: Path) -> None:
    model = make_peft_model(family)
    native = build_native(model, precision="bf16")
    with torch.no_grad():
        native.adapter_LP.add_(0.01 * torch.randn_like(native.adapter_LP))
    set_peft_model_state_dict(model, native.peft_state())
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    model.get_base_model().config.save_pretrained(tmp_path)

    other = make_peft_model(family).unload()
    other = PeftModel.from_pretrained(other, str(tmp_path / "adapter"))
    (batch,) = make_batches(make_packs(LENGTHS[:1]), max_tokens=128)
    ids_T, positions_T, _ = pack_tensors(make_packs(LENGTHS[:1])[0], device=CPU)
    num = batch.num_answer_tokens
    torch.testing.assert_close(
        packed_logits(other, ids_T, positions_T, batch.answer_indices_A[:num]),
        native.logits(batch)[:num],
        rtol=1e-4,
        atol=1e-4,
    )

    fresh = build_native(make_peft_model(family, seed=1), precision="bf16")
    fresh.load_peft_state(get_peft_model_state_dict(other, save_embedding_layers=False))
    assert torch.equal(fresh.adapter_LP, native.adapter_LP)


def test_layout_covers_every_value_once() -> None:
    for heads, kv_heads, rank in ((4, 1, 8), (8, 8, 16), (6, 2, 3)):
        layout = AdapterLayout(Shape(KNOWN_FAMILIES["llama"], 2, 32, 48, heads, kv_heads, 16, 1e-5, None), rank)
        values = torch.arange(2 * layout.num_values, dtype=torch.float32).view(2, -1)
        seen = torch.cat([matrix.flatten() for _, matrix in layout.named(values)])
        assert torch.equal(seen.sort().values, values.flatten())


def test_adapters_that_are_another_function_are_refused() -> None:
    model = LlamaForCausalLM(LlamaConfig(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=1))
    partial = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    with pytest.raises(UserError, match=r"lacks .*k_proj"):
        build_native(partial, precision="bf16")
    dropout = LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.1, use_rslora=True, task_type="CAUSAL_LM")
    with pytest.raises(UserError, match=r"lora_dropout = 0.1, use_rslora = True"):
        build_native(get_peft_model(partial.unload(), dropout), precision="bf16")


def test_bases_that_are_another_function_are_refused() -> None:
    model = make_peft_model("llama")
    model.get_base_model().config.hidden_act = "gelu"
    with pytest.raises(UserError, match="hidden_act = 'gelu', expected 'silu'"):
        build_native(model, precision="bf16")
    with pytest.raises(UserError, match="nf4 needs a base that is loaded in 4 bit"):
        build_native(make_peft_model("llama"), precision="nf4")


def test_base_stays_as_it_was(stored: str) -> None:
    model = add_adapter(load_base(stored, device=CPU))
    module = model.get_base_model().model.layers[0].mlp.up_proj.base_layer
    before = dense_weight(module, dtype=torch.float32)
    native = build_native(model, precision="nf4")
    native_gradients(native, make_packs(LENGTHS))
    assert torch.equal(dense_weight(module, dtype=torch.float32), before)
    assert isinstance(AutoModelForCausalLM.from_pretrained(stored), LlamaForCausalLM)
