"""Correctness and speed of Unsloth as our engine: losses of packs beside those of their documents, tokens a second.

    python -m bench.train.unsloth_check --tokenizer FOLDER [--out FILE]

TinyLlama-1.1B's shape with random weights, an adapter that is not zero, made-up records with the catalogue's lengths.
Whole runs of this engine, on one GPU and several, are in bench/train/loop.py.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import AutoTokenizer

from bench.figures import RESULTS
from bench.train.records import MAX_LENGTH, make_examples, make_texts
from bench.train.shapes import make_model, matrix_peak, measured_on
from trainer.config import TrainConfig
from trainer.engines.engine import check_isolation
from trainer.engines.unsloth_engine import UnslothEngine, load_unsloth
from trainer.examples.encoder import Pack
from trainer.recipes.recipe import SEED
from trainer.stream.packing import pack

_NUM_PACKS: Final = (1, 4, 16)
_WARM_UP: Final = 2


def main(arguments: list[str]) -> None:
    """Measures, writes the results and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder of TinyLlama's tokenizer")
    parser.add_argument("--out", type=Path, default=RESULTS / "train" / "unsloth-h200.json")
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, tokenizer=options.tokenizer)
        report: dict[str, Any] = measured_on(matrix_peak())
        torch.cuda.empty_cache()
        report |= measure(folder, device=torch.device("cuda"), tokens=(MAX_LENGTH, 16 * MAX_LENGTH))
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def measure(base: str, *, device: torch.device, tokens: Sequence[int], num_records: int = 2_000) -> dict[str, Any]:
    """Losses and gradients of packs and of their documents alone; speed and memory at each number of tokens at once."""
    config = TrainConfig(data=("-",), run="-", tokens_per_batch=max(tokens))
    engine = load_unsloth(base, config, recipe=replace(SEED, tokens_per_step=max(tokens)), device=device)
    tokenizer = AutoTokenizer.from_pretrained(base)
    check_isolation(engine, vocabulary=len(tokenizer))
    packs = pack(make_examples(tokenizer, make_texts(tokenizer, num_records)), max_length=MAX_LENGTH)
    torch.manual_seed(0)
    for name, parameter in engine.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return {
        "packs_against_documents": [compare(engine, packs[:num]) for num in _NUM_PACKS if num <= len(packs)],
        "gradient_cosine": gradient_cosine(engine, packs[0]),
        "speed": [speed(UnslothEngine(engine.model, at_once), packs[:48]) for at_once in tokens],
    }


@torch.no_grad()
def compare(engine: UnslothEngine, packs: Sequence[Pack]) -> dict[str, Any]:
    """The summed loss of these packs in one row, and that of their documents one by one."""
    row = Pack(tuple(example for pack in packs for example in pack.examples))
    together, alone = engine.loss(row).item(), sum(engine.loss(Pack((example,))).item() for example in row.examples)
    return {
        "tokens": row.num_tokens,
        "documents": len(row.examples),
        "loss": together,
        "loss_alone": alone,
        "difference": abs(together - alone) / alone,
    }


def gradient_cosine(engine: UnslothEngine, packed: Pack) -> float:
    """The cosine between the gradient of a pack and the sum of the gradients of its documents."""
    together = gradient(engine, [packed])
    alone = gradient(engine, [Pack((example,)) for example in packed.examples])
    return cosine_similarity(together, alone, 0).item()


def gradient(engine: UnslothEngine, rows: Sequence[Pack]) -> Tensor:
    """The gradient of the whole adapter, as one vector."""
    engine.model.zero_grad()
    for row in rows:
        engine.loss(row).backward()
    found = torch.cat([parameter.grad.flatten() for parameter in engine.parameters() if parameter.grad is not None])
    engine.model.zero_grad()
    return found


def speed(engine: UnslothEngine, packs: Sequence[Pack]) -> dict[str, Any]:
    """Tokens a second of forward and backward passes, after two warm-up passes that compile."""
    batches = engine.batches(packs)
    for batch in batches[:_WARM_UP]:
        engine.loss(batch).backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    for batch in batches:
        engine.loss(batch).backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return {
        "tokens_at_once": engine.tokens_per_batch,
        "tokens_per_s": sum(batch.num_tokens for batch in batches) / seconds,
        "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
