"""A converted base that was dequantised once is loaded as it was kept, and is the same base."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from trainer.bases import cache
from trainer.bases.dense import keep_dense, kept_dense
from trainer.engines.base import _dense_base, load_base
from trainer.engines.dense import dequantise

CPU = torch.device("cpu")


@pytest.fixture(name="conversion")
def _conversion(micro_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the cache, with a small base whose head is its embedding."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "vitrine" / "bases" / "0123-1"
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / cache.DIGESTS).write_text("{}")
    return folder


def test_the_kept_base_has_the_weights_of_the_dequantised_one(conversion: Path) -> None:
    first = _dense_base(str(conversion), device=CPU)
    assert kept_dense(str(conversion)) is not None
    second = _dense_base(str(conversion), device=CPU)
    direct = load_base(str(conversion), device=CPU)
    dequantise(direct)

    for other in (second, direct):
        assert {name: weight.dtype for name, weight in other.state_dict().items()} == {
            name: weight.dtype for name, weight in first.state_dict().items()
        }
        assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in first.state_dict().items())
    assert not any(weight.requires_grad for weight in second.parameters())
    ids = torch.arange(20)[None]
    assert torch.equal(first(ids).logits, second(ids).logits)


def test_a_kept_base_that_is_damaged_is_made_again(conversion: Path) -> None:
    _dense_base(str(conversion), device=CPU)
    kept = kept_dense(str(conversion))
    with open(kept / "model.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    assert kept_dense(str(conversion)) is None

    _dense_base(str(conversion), device=CPU)
    assert kept_dense(str(conversion)) == kept


def test_only_conversions_are_kept(micro_base: Path) -> None:
    before = sorted(micro_base.parent.iterdir())
    _dense_base(str(micro_base), device=CPU)
    keep_dense(str(micro_base), {})

    assert kept_dense(str(micro_base)) is None
    assert sorted(micro_base.parent.iterdir()) == before
