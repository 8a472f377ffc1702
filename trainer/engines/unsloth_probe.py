"""Trains a small random model with Unsloth for one step, and checks that packed documents do not see each other.

    python -m trainer.engines.unsloth_probe cuda

Exit code 0 if Unsloth can train here; else the last line of stderr says why not.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trainer.config import TrainConfig
from trainer.engines.unsloth_engine import UnslothEngine, load_unsloth
from trainer.examples.encoder import Example, Pack
from trainer.recipes.recipe import SEED

LARGEST_DIFFERENCE: Final = 0.01  # between the loss in a pack and alone, as a share: bfloat16 rounds by 0.004
_VOCABULARY: Final = 256
_LENGTHS: Final = (17, 131, 64, 40)


def main(arguments: Sequence[str]) -> None:
    """Raises an error, or ends the process, where Unsloth cannot train on this type of device."""
    device = torch.device(arguments[0])
    with tempfile.TemporaryDirectory() as folder:
        make_base(folder)
        config = TrainConfig(data=("-",), run="-", tokens_per_batch=256)
        recipe = replace(SEED, max_length=256, tokens_per_step=256)
        check(load_unsloth(folder, config, recipe=recipe, device=device))


def make_base(folder: str) -> None:
    """A small Llama of random weights, with a tokenizer whose words are numbers."""
    torch.manual_seed(0)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3}
    tokenizer = Tokenizer(models.WordLevel(words | {str(word): word for word in range(4, _VOCABULARY)}, "<unk>"))
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=_VOCABULARY, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, initializer_range=0.2, bos_token_id=1, eos_token_id=2, pad_token_id=3,
        )
    ).save_pretrained(folder)  # fmt: skip


def check(engine: UnslothEngine) -> None:
    """Raises ValueError if documents see each other, or if the adapter gets no gradient."""
    generator = torch.Generator().manual_seed(0)
    examples = [
        Example(row, torch.randint(4, _VOCABULARY, (length,), generator=generator).tolist(), num_prompt=5, num_cut=0)
        for row, length in enumerate(_LENGTHS)
    ]
    engine.model.train()
    together = engine.loss(Pack(tuple(examples)))
    together.backward()
    alone = sum(engine.loss(Pack((example,))).item() for example in examples)
    apart = abs(together.item() - alone) / alone
    if not apart < LARGEST_DIFFERENCE:
        raise ValueError(f"packed documents see each other: their loss differs by {apart:.2%}")
    if not any(parameter.grad is not None and parameter.grad.any() for parameter in engine.parameters()):
        raise ValueError("the adapter gets no gradient")


if __name__ == "__main__":
    main(sys.argv[1:])
