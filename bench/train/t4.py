"""Training as on a T4 of 16 GB, on another GPU: float16, no kernels of ours, no FlashAttention, 15 GiB of memory.

torch reports the compute capability of a T4 and no bfloat16, and of its attentions only the memory-efficient one, which
a T4 has, stays switched on. The times are those of the real GPU; they do not show how fast a T4 is.

    python -m bench.train.t4 --tokenizer FOLDER [--out FILE]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from bitsandbytes.nn import Linear4bit, Params4bit
from peft import PeftModel
from torch import nn

from bench.figures import RESULTS
from bench.train.ours import large_base
from bench.train.records import MAX_LENGTH, make_examples, make_texts
from bench.train.shapes import make_model, matrix_peak, measured_on
from trainer.config import TrainConfig
from trainer.engines.base import add_lora, load_base, load_tokenizer
from trainer.engines.engine import NativeEngine, check_isolation, choose_engine
from trainer.examples.encoder import Example, Pack
from trainer.recipes.recipe import SEED
from trainer.step import StepCounts, count_step, make_train_state, train_step
from trainer.stream.packing import pack
from trainer.stream.packs import StepPacks

MEMORY_BYTES = 15 * 2**30


def main(arguments: list[str]) -> None:
    """Trains both shapes, each in a process of its own, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder of TinyLlama's tokenizer")
    parser.add_argument("--out", type=Path, default=RESULTS / "train" / "t4-h200.json")
    options = parser.parse_args(arguments)

    report: dict[str, Any] = {**measured_on(matrix_peak()), "results": []}
    torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, tokenizer=options.tokenizer)
        for base, tokens_per_step, steps in ((folder, 8 * MAX_LENGTH, 20), (None, MAX_LENGTH, 10)):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                report["results"].append(
                    process.submit(train_small, base, tokens_per_step=tokens_per_step, steps=steps).result()
                )
            options.out.write_text(json.dumps(report, indent=1) + "\n")
            print(json.dumps(report["results"][-1]), flush=True)


def train_small(base: str | None, *, tokens_per_step: int, steps: int) -> dict[str, Any]:
    """Trains the base of this folder, or Llama-3.1-8B's shape, in 15 GiB. Returns engine, memory, times and losses."""
    answer_as_a_t4()
    config, recipe = TrainConfig(data=("-",), run="-"), replace(SEED, tokens_per_step=tokens_per_step)
    model, packs = small(base, config) if base else large(config)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(MEMORY_BYTES / torch.cuda.get_device_properties(0).total_memory)
    engine, why = choose_engine(lambda: model, config, recipe=recipe, base="-", device=model.device)
    check_isolation(engine, vocabulary=model.config.vocab_size)
    assert isinstance(engine, NativeEngine)
    state = make_train_state(engine, Accelerator(), config=config, recipe=recipe)
    assert state.loss_scale is not None, "it trains in float16"
    torch.cuda.reset_peak_memory_stats()

    losses, times_s, num_tokens = [], [], 0
    for step in range(1, steps + 1):
        first = (step - 1) * recipe.packs_per_step % (len(packs) - recipe.packs_per_step + 1)
        mine = packs[first : first + recipe.packs_per_step]
        counts = StepCounts(*count_step(StepPacks(tuple(mine), {}), state.accelerator).get())
        started = time.perf_counter()
        rate = recipe.learning_rate * min(1, step / recipe.warmup_steps)
        numbers = train_step(state, engine.batches(mine), config=config, rate=rate, step=step, counts=counts)
        loss_sum, _ = numbers.get()
        times_s.append(time.perf_counter() - started)
        losses.append(round(loss_sum / counts.answer_tokens, 5))
        num_tokens += counts.tokens
    return {
        "variant": f"ours as on a T4, {'TinyLlama' if base else 'Llama-3.1-8B'}, {tokens_per_step:,}",
        "engine": why,
        "steps": steps,
        "tokens_per_step": num_tokens / steps,
        "step_s_on_this_gpu": statistics.median(times_s),
        "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30,
        "peak_reserved_gib": torch.cuda.max_memory_reserved() / 2**30,
        "loss_scale": state.loss_scale.value,
        "losses": losses,
    }


def answer_as_a_t4() -> None:
    """Makes torch report a T4, and switches off the attentions that a T4 does not have."""
    torch.cuda.get_device_capability = lambda *_: (7, 5)
    torch.cuda.is_bf16_supported = lambda **_: False
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cuda.enable_math_sdp(False)


def small(folder: str, config: TrainConfig) -> tuple[PeftModel, list[Pack]]:
    """The base of this folder, and records with the catalogue's lengths."""
    tokenizer = load_tokenizer(folder)
    examples = make_examples(tokenizer, make_texts(tokenizer, 2_000))
    model = load_base(folder, device=torch.device("cuda"))
    return add_lora(model, config, recipe=SEED), pack(examples, max_length=MAX_LENGTH)


def large(config: TrainConfig) -> tuple[PeftModel, list[Pack]]:
    """Llama-3.1-8B's shape in NF4, and documents as long as a pack."""
    model = large_base().to(torch.float16)
    for parent in list(model.model.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.Linear):
                setattr(parent, name, quantized(module))
    ids = torch.randint(128_000, (64, MAX_LENGTH), generator=torch.Generator().manual_seed(0)).tolist()
    return add_lora(model, config, recipe=SEED), [
        Pack((Example(row, tokens, 40, 0),)) for row, tokens in enumerate(ids)
    ]


def quantized(module: nn.Linear) -> Linear4bit:
    """The layer in NF4 with quantised scales, as `load_base` makes it."""
    packed = Linear4bit(
        module.in_features,
        module.out_features,
        bias=False,
        quant_type="nf4",
        compute_dtype=torch.float16,
        device="meta",
    )
    packed.weight = Params4bit(
        module.weight.data.cpu(), requires_grad=False, quant_type="nf4", compress_statistics=True
    )
    return packed.to("cuda")


if __name__ == "__main__":
    main(sys.argv[1:])
