"""How near the engines' gradients and losses in 16 bit are to those of plain transformers + PEFT in float32.

All variants start from the same NF4 weights and the same adapter, and are trained on the same records. Gradients are
compared tensor by tensor at two adapters: the first one (B is zero), and that of the reference after some updates.

    python -m bench.train.parity --tokenizer FOLDER [--steps 50] [--out FILE]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedModel

from bench.figures import RESULTS
from bench.train.records import MAX_LENGTH, make_examples, make_texts
from bench.train.shapes import make_model, matrix_peak, measured_on
from trainer.config import TrainConfig
from trainer.engines.base import add_lora, load_base
from trainer.engines.engine import Engine, NativeEngine, PlainEngine
from trainer.examples.encoder import Pack
from trainer.native import Precision, build_native
from trainer.native.frozen import dense_weight
from trainer.native.reference import reference_layer
from trainer.recipes.recipe import SEED
from trainer.stream.packing import pack

_CONFIG: Final = TrainConfig(data=("-",), run="-")
_PACKS: Final = 4  # in a step
_REFERENCE: Final = "plain, float32"
_UPDATES: Final = 5  # before the second comparison of gradients
_CUDA: Final = torch.device("cuda")


def main(arguments: list[str]) -> None:
    """Compares all variants with the reference, prints a line for each and writes the results after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder of TinyLlama's tokenizer")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULTS / "train" / "parity-h200.json")
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, tokenizer=options.tokenizer)
        steps = list(packs_of_steps(folder, num=options.steps))
        packed = load_base(folder, device=_CUDA)
        reference = PlainEngine(add_lora(dense_base(packed, torch.float32), _CONFIG, recipe=SEED))
        start = adapter_of(reference)
        exact = [gradients(reference, steps[0])]
        train(reference, steps[:_UPDATES])
        later = adapter_of(reference)
        exact.append(gradients(reference, steps[_UPDATES]))
        set_peft_model_state_dict(reference.model, start)
        losses = {_REFERENCE: train(reference, steps)}
        report = {**measured_on(matrix_peak()), "gradients": [], "losses": losses}
        for name, make in variants(packed, folder).items():
            engine, at = make(), []
            for state, batch, right in zip((start, later), (steps[0], steps[_UPDATES]), exact, strict=True):
                put_adapter(engine, state)
                at.append(compare(gradients(engine, batch), right))
            put_adapter(engine, start)
            losses[name] = train(engine, steps)
            row = {"variant": name, "first": at[0], "later": at[1]}
            report["gradients"].append(row)
            options.out.write_text(json.dumps(report, indent=1) + "\n")
            print(line(row, losses=losses[name], exact=losses[_REFERENCE]), flush=True)


def variants(packed: PreTrainedModel, folder: str) -> dict[str, Callable[[], Engine]]:
    """A function for each variant that makes its engine. `packed`, the base in NF4, is left as it is."""

    def plain(base: PreTrainedModel) -> Engine:
        return PlainEngine(add_lora(base, _CONFIG, recipe=SEED))

    def native(base: PreTrainedModel, precision: Precision, **options: Any) -> Engine:
        model = add_lora(base, _CONFIG, recipe=SEED)
        return NativeEngine(model, build_native(model, precision=precision, **options), _PACKS * MAX_LENGTH, precision)

    def again() -> PreTrainedModel:
        return load_base(folder, device=_CUDA)

    return {
        "native, float32": lambda: native(dense_base(packed, torch.float32), "bf16"),
        "plain, nf4": lambda: plain(again()),
        "native, bf16": lambda: native(again(), "bf16"),
        "native, bf16, without kernels": lambda: native(again(), "bf16", layer_function=reference_layer),
        "native, nf4": lambda: native(again(), "nf4"),
        "native, fp8": lambda: native(again(), "fp8"),
    }


def dense_base(packed: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The base in NF4 with its weights dequantised to this type."""
    with _CUDA:
        model = LlamaForCausalLM(packed.config).to(dtype)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    state = {name: value for name, value in packed.state_dict().items() if name in model.state_dict()}
    for name, module in packed.named_modules():
        if isinstance(module, Linear4bit):
            state[f"{name}.weight"] = dense_weight(module, dtype=dtype)
    model.load_state_dict(state)
    return model.requires_grad_(False)


def packs_of_steps(folder: str, *, num: int) -> Iterator[list[Pack]]:
    """The packs of each step, the same in every run."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    packs = pack(make_examples(tokenizer, make_texts(tokenizer, 45 * num)), max_length=MAX_LENGTH)
    packs = [packs[index % num * _PACKS + index // num] for index in range(num * _PACKS)]
    for first in range(0, len(packs), _PACKS):
        yield packs[first : first + _PACKS]


def gradients(engine: Engine, packs: list[Pack]) -> dict[str, Tensor]:
    """The gradient of the mean loss, by the name of each adapter matrix in a PEFT state. The adapter is not changed."""
    accumulate(engine, packs)
    if isinstance(engine, NativeEngine):
        found = engine.native.layout.named(engine.native.adapter_LP.grad)
    else:
        parameters = engine.model.named_parameters()
        found = ((name.replace(".default", ""), parameter.grad) for name, parameter in parameters)
    taken = {name: gradient.clone() for name, gradient in found if gradient is not None}
    for parameter in engine.parameters():
        parameter.grad = None
    return taken


def train(engine: Engine, steps: list[list[Pack]]) -> list[tuple[float, float]]:
    """Trains, with the rates, clipping and optimizer of a run. Returns mean loss and gradient norm of each step."""
    optimizer = torch.optim.AdamW(engine.parameters(), lr=0, weight_decay=_CONFIG.weight_decay, fused=True)
    found = []
    for step, packs in enumerate(steps, start=1):
        loss = accumulate(engine, packs)
        norm = torch.nn.utils.clip_grad_norm_(engine.parameters(), _CONFIG.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = SEED.learning_rate * min(1.0, step / SEED.warmup_steps)
        optimizer.step()
        optimizer.zero_grad()
        found.append((loss, norm.item()))
    return found


def accumulate(engine: Engine, packs: list[Pack]) -> float:
    """The mean loss of the packs. Its gradient is added to that of the parameters."""
    num = sum(pack.num_answer_tokens for pack in packs)
    total = 0.0
    for batch in engine.batches(packs):
        loss = engine.loss(batch)
        (loss / num).backward()
        total += loss.item()
    return total / num


def compare(found: dict[str, Tensor], right: dict[str, Tensor]) -> dict[str, float]:
    """Cosines and ratios of norms to the exact gradients, over all tensors whose exact gradient is not zero."""
    cosines, ratios = [], []
    for name, exact in right.items():
        exact, value = exact.double().flatten(), found[name].double().flatten()
        if exact.norm() > 0:
            cosines.append(torch.cosine_similarity(value, exact, dim=0).item())
            ratios.append((value.norm() / exact.norm()).item())
    cosines.sort()
    return {
        "tensors": len(cosines),
        "cosine_least": cosines[0],
        "cosine_median": cosines[len(cosines) // 2],
        "norm_ratio_least": min(ratios),
        "norm_ratio_most": max(ratios),
    }


def adapter_of(engine: PlainEngine) -> dict[str, Tensor]:
    """A copy of the adapter."""
    state = get_peft_model_state_dict(engine.model, save_embedding_layers=False)
    return {name: value.clone() for name, value in state.items()}


def put_adapter(engine: Engine, state: dict[str, Tensor]) -> None:
    """Sets the adapter's values."""
    model: PeftModel = engine.model
    set_peft_model_state_dict(model, state)
    engine.import_adapter()


def line(row: dict[str, Any], *, losses: list[tuple[float, float]], exact: list[tuple[float, float]]) -> str:
    """The figures of one variant as a line."""
    apart = [loss / right - 1 for (loss, _), (right, _) in zip(losses, exact, strict=True)]
    steps = [index for index in (0, 1, 4, 9, 19, len(apart) - 1) if index < len(apart)]
    cosines = "  ".join(
        f"{row[at]['cosine_least']:.5f} {row[at]['cosine_median']:.5f}"
        f" {row[at]['norm_ratio_least']:.3f}-{row[at]['norm_ratio_most']:.3f}"
        for at in ("first", "later")
    )
    drift = " ".join(f"{index + 1}:{apart[index]:+.1e}" for index in steps)
    return f"{row['variant']:32}{cosines}  loss {drift}  most {max(map(abs, apart)):.1e}"


if __name__ == "__main__":
    main(sys.argv[1:])
