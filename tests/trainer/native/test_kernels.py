"""The kernels against the plain layer: on a GPU compiled, elsewhere in Triton's interpreter (float32 and small)."""

import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM

from tests.trainer.native.native_models import add_adapter, make_packs, make_peft_model
from trainer.examples.tensors import IGNORED
from trainer.native import NativeModel, Precision, build_native, make_batches, with_kernels_that_work
from trainer.native import loss as native_loss
from trainer.native.layer import make_tables
from trainer.native.merged.hidden import kernel_attention, plain_attention
from trainer.native.model import LayerFunction
from trainer.native.reference import reference_layer

pytest.importorskip("triton")
from tests.trainer.native.interpreted import mend_interpreter
from trainer.native.fused import fused_layer
from trainer.native.kernels import entropy, low, mlp, rope, rows, sizes
from trainer.native.kernels.attention import backward, forward
from trainer.native.kernels.fitted import FittedKernel

HAS_GPU = torch.cuda.is_available()
IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
LEAST_FP8_COSINE = 0.85 if IS_INTERPRETED else 0.99  # the interpreter cuts the last bits in FP8 where a GPU rounds
DEVICE = torch.device("cuda" if HAS_GPU else "cpu")
runs_kernels = pytest.mark.skipif(not (HAS_GPU or IS_INTERPRETED), reason="run in the interpreter by the last test")


if IS_INTERPRETED:
    mend_interpreter()


def gradients(native: NativeModel, lengths: list[list[int]]) -> tuple[float, dict[str, torch.Tensor]]:
    total = 0.0
    native.adapter_LP.grad = None
    for batch in make_batches(make_packs(lengths), max_tokens=256):
        loss = native.loss(batch)
        loss.backward()
        total += loss.item()
    return total, dict(native.layout.named(native.adapter_LP.grad))


def worst_cosine(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return min(
        torch.nn.functional.cosine_similarity(first[name].flatten().double(), second[name].flatten().double(), dim=0)
        for name in first
    ).item()


@runs_kernels
@pytest.mark.parametrize(
    "family", ["llama", "llama-one-kv-head", "qwen2-bias", "qwen3-norms", "qwen2-heads-of-48", "qwen3-heads-of-48"]
)
def test_fused_layer_is_the_plain_layer(family: str) -> None:
    model = make_peft_model(family).to(DEVICE)
    lengths = [[17, 70, 5, 150]]
    expected_loss, expected = gradients(build_native(model, precision="bf16", layer_function=reference_layer), lengths)
    loss, found = gradients(build_native(model, precision="bf16", layer_function=fused_layer), lengths)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert worst_cosine(found, expected) > 0.99999
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-3, msg=name)


@runs_kernels
@pytest.mark.parametrize("rank", [4, 16, 24])
def test_fused_layer_takes_any_rank_and_fp8(rank: int) -> None:
    model = make_peft_model("qwen2-bias", rank=rank).to(DEVICE)
    lengths = [[17, 70, 5]]
    expected_loss, expected = gradients(build_native(model, precision="fp8", layer_function=reference_layer), lengths)
    loss, found = gradients(build_native(model, precision="fp8", layer_function=fused_layer), lengths)
    assert loss == pytest.approx(expected_loss, rel=3e-3)
    assert worst_cosine(found, expected) > LEAST_FP8_COSINE


@runs_kernels
@pytest.mark.parametrize("family", ["qwen2-bias", "qwen3-norms"] if HAS_GPU else ["qwen3-norms"])
@pytest.mark.parametrize("rank", [1, 128, 256, 512] if HAS_GPU else [1, 512])  # the interpreter takes long
def test_fused_layer_takes_high_ranks(family: str, rank: int) -> None:
    assert_equal_to_the_plain_layer(make_peft_model(family, rank=rank), "bf16")


@runs_kernels
@pytest.mark.parametrize("rank", [24, 128])
def test_fused_layer_takes_high_ranks_in_fp8(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "LARGEST_THIN_RANK", 16)
    assert_equal_to_the_plain_layer(make_peft_model("qwen2-bias", rank=rank), "fp8")


@runs_kernels
@pytest.mark.parametrize("index", [-1, -2])
def test_small_tiles_compute_the_same(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of GPUs with little shared memory."""
    found = [each for module in (forward, backward, low, mlp, rope, rows) for each in vars(module).values()]
    kernels = [each for each in found if isinstance(each, FittedKernel)]
    assert len(kernels) == 13
    for kernel in kernels:
        monkeypatch.setattr(kernel, "tiles", kernel.tiles[index:])
        monkeypatch.setattr(kernel, "_fitting", {})
    assert_equal_to_the_plain_layer(make_peft_model("qwen3-norms", rank=24), "bf16")


def assert_equal_to_the_plain_layer(model: PeftModel, precision: Precision) -> None:
    lengths, model = [[17, 70, 5, 33]], model.to(DEVICE)
    plain = build_native(model, precision=precision, layer_function=reference_layer)
    expected_loss, expected = gradients(plain, lengths)
    loss, found = gradients(build_native(model, precision=precision, layer_function=fused_layer), lengths)
    is_exact = precision == "bf16"
    assert loss == pytest.approx(expected_loss, rel=1e-5 if is_exact else 3e-3)
    assert worst_cosine(found, expected) > (0.99999 if is_exact else LEAST_FP8_COSINE)


@pytest.mark.skipif(not HAS_GPU, reason="bfloat16 products are wrong in Triton's interpreter")
@pytest.mark.gpu
@pytest.mark.parametrize("family", ["llama", "qwen3-norms"])
def test_fused_layer_in_bfloat16_is_as_near_to_float32_as_the_plain_one(family: str) -> None:
    lengths = [[17, 70, 5, 150], [200, 40]]
    model = make_peft_model(family).to(DEVICE)
    _, exact = gradients(build_native(model, precision="bf16", layer_function=reference_layer), lengths)
    model = model.to(torch.bfloat16)
    _, plain = gradients(build_native(model, precision="bf16", layer_function=reference_layer), lengths)
    _, fused = gradients(build_native(model, precision="bf16", layer_function=fused_layer), lengths)
    assert worst_cosine(fused, exact) > min(0.999, worst_cosine(plain, exact) - 1e-3)


@pytest.mark.skipif(not HAS_GPU, reason="only compiled loops load ahead")
@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("rank", [16, 32, 64, 128])
def test_kernels_of_a_wide_layer_work_at_each_rank(rank: int, precision: Precision) -> None:
    """Loops over many blocks of columns, which small models do not have."""
    sizes = {"hidden_size": 2_048, "intermediate_size": 5_632, "num_attention_heads": 32, "num_key_value_heads": 4}
    with DEVICE:
        base = LlamaForCausalLM(LlamaConfig(vocab_size=96, num_hidden_layers=1, **sizes)).to(torch.bfloat16)
    native = build_native(add_adapter(base.requires_grad_(False), rank=rank), precision=precision)
    assert native.layer_function is fused_layer
    assert with_kernels_that_work(native) is native


@runs_kernels
@pytest.mark.parametrize("family", ["llama", "llama-one-kv-head", "qwen3-heads-of-48"])
def test_attention_of_a_merged_layer_is_the_plain_one_also_with_empty_blocks(family: str) -> None:
    """Empty blocks fill the table of a captured step: they begin and end at token 0."""
    native = build_native(make_peft_model(family).to(DEVICE), precision="bf16", layer_function=reference_layer)
    (batch,) = make_batches(make_packs([[17, 70, 5, 150]]), max_tokens=256)
    batch, shape = batch.to(DEVICE), native.shape
    blocks_B3 = torch.cat([batch.blocks_B3, batch.blocks_B3.new_zeros(3, 3)])
    num_columns = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    qkv_TN, grad_TQ = (torch.randn(len(batch.ids_T), num, device=DEVICE) for num in (num_columns, native.shape.hidden))
    grad_TQ = grad_TQ[:, :1].expand(-1, shape.heads * shape.head_dim)
    found, expected = [], []
    for function, results in ((kernel_attention(shape), found), (plain_attention(batch, shape), expected)):
        inputs = qkv_TN.clone().requires_grad_()
        mixed_TQ = function(inputs, blocks_B3)
        results += [mixed_TQ, *torch.autograd.grad(mixed_TQ, inputs, grad_TQ)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@runs_kernels
def test_recomputed_layers_give_the_same_gradients() -> None:
    model, lengths = make_peft_model("llama").to(DEVICE), [[17, 70, 5, 150]]
    expected_loss, expected = gradients(build_native(model, precision="bf16", layer_function=fused_layer), lengths)
    again = build_native(model, precision="bf16", layer_function=fused_layer, num_recomputed=1)
    loss, found = gradients(again, lengths)
    assert loss == expected_loss
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], msg=name)


@runs_kernels
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("function", [fused_layer, reference_layer])
def test_the_output_of_a_freshly_initialised_adapter_counts_once(function: LayerFunction, precision: Precision) -> None:
    """It is far below half a step of a value in 16 bit, where sums on one grid lose it or count it many times over."""
    if precision == "fp8" and not HAS_GPU:
        pytest.skip("the interpreter cuts the last bits in FP8 where a GPU rounds")
    # The interpreter's bfloat16 products are wrong; float16 has an eighth of bfloat16's steps.
    dtype, factor = (torch.bfloat16, 1.2e-3) if HAS_GPU else (torch.float16, 1.5e-4)
    # FP8 is five times as noisy, and right on average.
    num_tokens = 131_072 if precision == "fp8" else 2_048
    model, x_TC = make_peft_model("llama").to(DEVICE), torch.randn(num_tokens, 64, device=DEVICE).to(dtype)
    (batch,) = make_batches(make_packs([[128] * (num_tokens // 128)]), max_tokens=num_tokens)
    outputs = []
    for type_, layer_function in ((torch.float32, reference_layer), (dtype, function)):
        native = build_native(model.to(type_), precision=precision if type_ == dtype else "bf16")
        for name, matrix in native.layout.named(native.adapter_LP.detach()):
            matrix *= factor if "lora_B" in name else 1
        layer = partial(layer_function, layer=native.layers[0], tables=make_tables(batch.to(DEVICE), native.rope))
        values_P = native.adapter_LP[0].detach()
        outputs.append((layer(x_TC.to(type_), values_P) - layer(x_TC.to(type_), 0 * values_P)).double())
    assert ((outputs[1] * outputs[0]).sum() / outputs[0].square().sum()).item() == pytest.approx(1, abs=0.3)


@runs_kernels
@pytest.mark.parametrize("num_words", [96, 5000])
def test_cross_entropy_kernel_is_the_plain_one(num_words: int) -> None:
    torch.manual_seed(0)
    logits = (3 * torch.randn(9, num_words)).to(DEVICE)
    targets = torch.randint(num_words, (9,)).to(DEVICE)
    targets[[2, 8]] = IGNORED
    expected = logits.clone()
    expected_loss = native_loss.cross_entropy_in_place(expected, targets)
    torch.testing.assert_close(entropy.cross_entropy_in_place(logits, targets), expected_loss)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(HAS_GPU or IS_INTERPRETED, reason="the tests above run by themselves")
def test_kernels_in_the_interpreter() -> None:
    """In a process of its own: Triton reads the variable once, when it is imported."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
