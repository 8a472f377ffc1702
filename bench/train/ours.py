"""One variant of the native engine, measured; prints one JSON line. Run by bench.train, in a process of its own."""

import argparse
import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer, LlamaForCausalLM

from bench.figures import spread
from bench.train.records import MAX_LENGTH, make_examples, make_texts
from bench.train.shapes import LLAMA_8B, random_model
from trainer.engines.base import load_base
from trainer.examples.encoder import Example, Pack
from trainer.native import Batch, NativeModel, build_native, make_batches, offload_adapter
from trainer.stream.packing import pack
from trainer.stream.prefetch import prefetch

WARM_UP = 5


def main(arguments: list[str]) -> None:
    """Trains, and prints tokens a second without padding, times of the steps, memory and losses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("precision", choices=("nf4", "bf16", "fp8"))
    parser.add_argument(
        "--model", help="folder of a model of TinyLlama's shape (default: a model of Llama-3.1-8B's shape)"
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=32_768)
    parser.add_argument(
        "--recomputed",
        type=int,
        default=0,
        help="layers that keep only their input, and are computed again in the backward pass",
    )
    parser.add_argument("--profile", type=Path, help="file for a table of the kernels that take longest")
    options = parser.parse_args(arguments)

    torch.manual_seed(0)
    model, examples, max_length = small(options.model) if options.model else large()
    native = build_native(model, precision=options.precision, num_recomputed=options.recomputed)
    offload_adapter(model)
    batches = prefetch(batches_of(examples, tokens=options.tokens, max_length=max_length), ahead=4)
    optimizer = torch.optim.AdamW(native.parameters(), lr=2e-4, weight_decay=0.01, fused=True)

    losses, real, marks = [], [], [torch.cuda.Event(enable_timing=True) for _ in range(options.steps + 1)]
    for step in range(-WARM_UP, options.steps):
        batch = next(batches)
        if step == 0:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            marks[0].record()
        losses.append(train_step(native, batch, optimizer=optimizer))
        if step >= 0:
            real.append(batch.num_tokens)
            marks[step + 1].record()
    torch.cuda.synchronize()
    if options.profile:
        write_profile(options.profile, batches, native=native, optimizer=optimizer)
    times_s = [first.elapsed_time(second) / 1000 for first, second in itertools.pairwise(marks)]
    report = {
        "variant": variant(options),
        "tokens_per_s": sum(real) / sum(times_s),
        "steps": options.steps,
        "tokens_per_step": sum(real) / options.steps,
        "step_s": spread(times_s),
        "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30,
        "losses": [round(loss.item(), 5) for loss in losses],
    }
    print("RESULT", json.dumps(report), flush=True)
    batches.close()


def variant(options: argparse.Namespace) -> str:
    """The name of this variant."""
    parts = ["ours", options.precision, *([] if options.model else ["8B"])]
    if options.model and options.tokens != 32_768:
        parts.append(f"{options.tokens:,} tokens")
    return ", ".join([*parts, *([f"{options.recomputed} layers recomputed"] if options.recomputed else [])])


def small(folder: str) -> tuple[PeftModel, list[Example], int]:
    """The base of this folder in NF4, and records with the catalogue's lengths."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    examples = make_examples(tokenizer, make_texts(tokenizer, 8_000))
    return _with_adapter(load_base(folder, device=torch.device("cuda"))), examples, MAX_LENGTH


def large() -> tuple[PeftModel, list[Example], int]:
    """Llama-3.1-8B's shape with random 16-bit weights, and documents of 4,096 tokens."""
    generator = random.Random(0)
    ids = [generator.choices(range(128_000), k=4_096) for _ in range(64)]
    return _with_adapter(large_base()), [Example(row, tokens, 40, 0) for row, tokens in enumerate(ids)], 4_096


def large_base() -> LlamaForCausalLM:
    """Llama-3.1-8B's shape with random weights in bfloat16, frozen."""
    return random_model(LLAMA_8B).requires_grad_(False)


def _with_adapter(base: torch.nn.Module) -> PeftModel:
    return get_peft_model(base, LoraConfig(r=16, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))


def batches_of(examples: list[Example], *, tokens: int, max_length: int) -> Iterator[Batch]:
    """Batches of packs, in the same order in every variant, for ever."""
    held: list[Pack] = []
    while True:
        for first in range(0, len(examples), 2_048):
            packs = pack(examples[first : first + 2_048], max_length=max_length)
            random.Random(first).shuffle(packs)  # they come longest first; the lanes of a real stream mix them
            held += packs
            while len(held) * max_length >= tokens:
                now, held = held[: tokens // max_length], held[tokens // max_length :]
                for batch in make_batches(now, max_tokens=tokens):
                    yield batch.pinned()


def train_step(native: NativeModel, batch: Batch, *, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """One step of the training loop: mean loss, clipped gradient, update."""
    loss = native.loss(batch) / batch.num_answer_tokens
    loss.backward()
    torch.nn.utils.clip_grad_norm_(native.parameters(), 0.6)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


def write_profile(
    path: Path, batches: Iterator[Batch], *, native: NativeModel, optimizer: torch.optim.Optimizer
) -> None:
    """Writes the milliseconds and the calls a step of the kernels that take longest."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(2):
            train_step(native, next(batches), optimizer=optimizer)
        torch.cuda.synchronize()
    averages = [event for event in profile.key_averages() if event.self_device_time_total]
    averages.sort(key=lambda event: -event.self_device_time_total)
    lines = [f"{e.self_device_time_total / 2000:9.2f} ms {e.count / 2:7.1f}  {e.key[:110]}" for e in averages[:40]]
    total = sum(event.self_device_time_total for event in averages) / 2000
    path.write_text("\n".join([*lines, f"{total:9.2f} ms in all", ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
