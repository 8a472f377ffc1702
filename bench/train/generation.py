"""What a run recalls by forward pass, held against what transformers and PEFT generate from the same adapter.

python -m bench.train.generation --run RUN --titles 1000 --dtype bf16 --out generation.json

With bf16 the forward pass is that of the engine that training chooses on this machine. With fp32 both use one model:
then a difference could only come from packs, masks or the cache.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel
from torch import Tensor

from bench.learn.generation import greedy
from trainer.config import RecallConfig
from trainer.engines.base import load_base
from trainer.engines.dense import dequantise
from trainer.engines.engine import Engine, PlainEngine
from trainer.examples.encoder import Example, Record
from trainer.recall.measure import measure
from trainer.recall.recall import asked_records, load_adapter, load_engine
from trainer.runs import names
from trainer.runs.folder import base_of, read_info


@dataclass(frozen=True)
class Difference:
    """An answer of which generation gives another number of right tokens than the forward pass tells."""

    title: str
    forward_right: int
    generated_right: int
    distance: float  # of the true token's logit from the largest other one, where the two part
    is_tie: bool  # both logits are the same number


def main(arguments: Sequence[str] | None = None) -> None:
    """Compares and prints the counts; writes everything to a file where one is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, type=Path)
    parser.add_argument("--titles", type=int, default=1_000, help="seen ones, and at most as many unseen ones")
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--batch", type=int, default=128, help="answers that are generated at once")
    parser.add_argument("--data", action="append", help="the data sets of the run, where they have moved")
    parser.add_argument("--out", type=Path, help="file for the counts and every difference")
    options = parser.parse_args(arguments)
    found = compare_run(options)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    for name in ("seen", "unseen"):
        found[name].pop("differences")
    print(json.dumps(found))


def compare_run(options: argparse.Namespace) -> dict[str, Any]:
    """Counts over seen and unseen titles, and each difference."""
    run, device = options.run, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    info = read_info(run)
    config = RecallConfig(run=str(run), data=options.data and tuple(options.data), sample=options.titles)
    asked = asked_records(config, info)
    engine, encoder = load_engine(run, info)
    load_adapter(engine, run)
    base = load_base(base_of(run, info.config["base"]), device=device, compute_type=options.dtype)
    dequantise(base)
    model: Any = PeftModel.from_pretrained(base, run / names.ADAPTER).eval()
    if options.dtype == "fp32":
        engine = PlainEngine(model)
    found: dict[str, Any] = {
        "run": str(run), "dtype": options.dtype, "engine": engine.name, "batch": options.batch,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__, "transformers": transformers.__version__,
    }  # fmt: skip
    for name, group in (("seen", asked.seen), ("unseen", asked.unseen)):
        records = list(group.records())
        examples = encoder.encode(records)
        found[name] = compare(engine, model, records, examples, end=encoder.end_id, batch=options.batch)
    return found


def compare(
    engine: Engine, model: Any, records: Sequence[Record], examples: Sequence[Example], *, end: int, batch: int
) -> dict[str, Any]:
    """How many titles differ in the number of leading right tokens; whole answers by both; each difference.

    After its first wrong token a generated answer sees another text, so what follows is not compared.
    """
    by_row = {example.row: example for example in examples}
    recalled = measure(engine, records, lambda some: [by_row[record.row] for record in some])
    truths = [list(example.ids[example.num_prompt :]) for example in examples]
    prompts = [list(example.ids[: example.num_prompt]) for example in examples]
    made = greedy(model, prompts, lengths=list(map(len, truths)), end=end, batch=batch)
    generated_right = [num_right(answer, truth) for answer, truth in zip(made, truths, strict=True)]
    forward_right = recalled.num_right_N.tolist()
    differences = list(
        _differences(model, records, prompts, truths, pairs=list(zip(forward_right, generated_right, strict=True)))
    )
    lengths = list(map(len, truths))
    return {
        "titles": len(records),
        "answer_tokens": sum(lengths),
        "right_tokens": sum(forward_right),
        "different": len(differences),
        "exact_ties": sum(each.is_tie for each in differences),
        "whole_by_forward": sum(map(int.__eq__, forward_right, lengths)),
        "whole_by_generation": sum(map(int.__eq__, generated_right, lengths)),
        "differences": [asdict(each) for each in differences],
    }


def num_right(answer: Sequence[int], truth: Sequence[int]) -> int:
    """The leading tokens of an answer that are those of the truth."""
    pairs = enumerate(zip(answer, truth, strict=False))
    return next((at for at, (token, true) in pairs if token != true), min(len(answer), len(truth)))


def _differences(
    model: Any,
    records: Sequence[Record],
    prompts: Sequence[list[int]],
    truths: Sequence[list[int]],
    *,
    pairs: Sequence[tuple[int, int]],
) -> Iterator[Difference]:
    for record, prompt, truth, (forward, generated) in zip(records, prompts, truths, pairs, strict=True):
        if forward != generated:
            at = min(forward, generated)
            logits_V = _logits_after(model, prompt + truth[:at])
            true = logits_V[truth[at]].clone()
            logits_V[truth[at]] = -torch.inf
            distance = (true - logits_V.max()).abs().item()
            yield Difference(record.title, forward, generated, distance, distance == 0)


@torch.no_grad()
def _logits_after(model: Any, ids: list[int]) -> Tensor:
    """The logits (V words, float32) of the next token, of this text alone in a batch."""
    ids_1T = torch.tensor([ids], device=model.device)
    return model(input_ids=ids_1T, use_cache=False, logits_to_keep=1).logits[0, -1].float()


if __name__ == "__main__":
    main()
