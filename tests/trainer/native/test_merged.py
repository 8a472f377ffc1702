"""The model with the adapter merged into its matrices against the layers that keep it beside them."""

import pytest
import torch

from tests.trainer.native.native_models import FAMILIES, make_packs, make_peft_model
from trainer.native import NativeModel, build_merged, build_native, capture, make_batches


def loss_and_gradient(native: NativeModel, lengths: list[list[int]]) -> tuple[float, torch.Tensor]:
    native.adapter_LP.grad, total = None, 0.0
    for batch in make_batches(make_packs(lengths), max_tokens=256, sizes=1):
        loss = native.loss(batch)
        loss.backward()
        total += loss.item()
    assert native.adapter_LP.grad is not None
    return total, native.adapter_LP.grad


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_model_has_the_loss_and_gradient_of_the_layers(family: str) -> None:
    model, lengths = make_peft_model(family), [[17, 70, 5, 150], [3, 2, 90]]
    expected_loss, expected = loss_and_gradient(build_native(model, precision="bf16"), lengths)
    loss, found = loss_and_gradient(build_merged(model), lengths)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("rank", [1, 16, 512])
def test_merged_model_takes_any_rank(rank: int) -> None:
    model, lengths = make_peft_model("llama", rank=rank), [[17, 70]]
    expected_loss, expected = loss_and_gradient(build_native(model, precision="bf16"), lengths)
    loss, found = loss_and_gradient(build_merged(model), lengths)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to capture a step on")
@pytest.mark.parametrize("family", FAMILIES)
def test_captured_step_adds_up_the_gradients_of_two_batches(family: str) -> None:
    """A captured backward pass writes its gradient where the one before it stood."""
    model, lengths = make_peft_model(family).to("cuda"), [[17, 70, 5, 150], [3, 2, 90]]
    expected_loss, expected = loss_and_gradient(build_native(model, precision="bf16"), lengths)
    captured, tokens = capture(build_merged(model), max_length=128, most=256)
    assert tokens == 256
    loss, found = loss_and_gradient(captured, lengths)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
