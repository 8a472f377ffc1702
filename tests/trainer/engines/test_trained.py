"""An adapter has the values of its file, whatever type its base has, and a file that lacks some is refused."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from contract.errors import UserError
from trainer.engines.trained import add_adapter, with_adapter


def base(micro_base: Path, dtype: torch.dtype) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(micro_base, dtype=dtype)


@pytest.fixture(name="adapter")
def _adapter(micro_base: Path, tmp_path: Path) -> Path:
    """An adapter whose matrices are none of them zero."""
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(base(micro_base, torch.float32), lora).save_pretrained(tmp_path)
    return tmp_path


def values(model: PeftModel, name: str) -> dict[str, torch.Tensor]:
    """The adapter's matrices by the names that its file has."""
    return {
        key.replace(f".{name}.", "."): weight.detach()
        for key, weight in model.named_parameters()
        if "lora_" in key and f".{name}." in key
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_adapter_has_exactly_the_values_of_its_file(micro_base: Path, adapter: Path, dtype: torch.dtype) -> None:
    written = load_file(adapter / "adapter_model.safetensors")
    model = with_adapter(base(micro_base, dtype), str(adapter), name="first")
    add_adapter(model, str(adapter), name="second")

    for name in ("first", "second"):
        found = values(model, name)
        assert found.keys() == written.keys()
        assert all(torch.equal(found[key], written[key]) for key in written)  # of the same type as well


def test_the_model_is_the_one_that_peft_makes_without_a_hurry(micro_base: Path, adapter: Path) -> None:
    ids = torch.arange(12)[None]
    slow = PeftModel.from_pretrained(base(micro_base, torch.bfloat16), adapter).eval()
    quick = with_adapter(base(micro_base, torch.bfloat16), str(adapter), name="default").eval()

    assert {key: weight.dtype for key, weight in quick.state_dict().items()} == {
        key: weight.dtype for key, weight in slow.state_dict().items()
    }
    assert not any(weight.requires_grad for weight in quick.parameters())
    with torch.no_grad():
        assert torch.equal(quick(input_ids=ids).logits, slow(input_ids=ids).logits)


def test_an_adapter_that_lacks_weights_is_refused_and_not_added(
    micro_base: Path, adapter: Path, tmp_path: Path
) -> None:
    model = with_adapter(base(micro_base, torch.float32), str(adapter), name="first")
    path = tmp_path / "adapter_model.safetensors"
    weights = {key: weight.clone() for key, weight in load_file(path).items()}
    weights.pop(next(key for key in weights if "lora_B" in key))
    path.unlink()
    save_file(weights, path, metadata={"format": "pt"})

    with pytest.raises(UserError, match=r"no adapter could be loaded from .*lacks weights: .*lora_B"):
        add_adapter(model, str(adapter), name="second")
    assert list(model.peft_config) == ["first"]
    with pytest.raises(UserError, match=r"no adapter could be loaded from .*lacks weights: .*lora_B"):
        with_adapter(base(micro_base, torch.float32), str(adapter), name="first")
