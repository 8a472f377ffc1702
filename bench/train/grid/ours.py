"""One training as users run it, measured; prints one JSON line. Run by bench.train.grid, in a process of its own."""

import argparse
import io
import json
import math
import re
import sys
import tempfile
from contextlib import redirect_stdout
from typing import Any

from transformers import AutoConfig

from bench.train.loop import Run, result
from bench.train.records import MAX_LENGTH
from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.recipes.choice import rate_to_remember
from trainer.train import train


def main(arguments: list[str]) -> None:
    """Trains, and prints tokens a second without padding, times of the steps, memory, losses and the engine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder of the base")
    parser.add_argument("--data", required=True, help="a prepared data set")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True, help="tokens of a step, padding included")
    parser.add_argument("--precision", choices=("nf4", "bf16", "fp8"), required=True, help="of the base")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory() as folder:
        printed = io.StringIO()
        try:
            config = config_of(options, run=f"{folder}/run")
            with redirect_stdout(printed):
                train(config)
        except UserError as error:
            raise SystemExit(str(error)) from error
        finally:
            print(printed.getvalue(), flush=True)
        found = result(Run("ours", 1, config))
    (engine, *_) = re.findall(r"^engine .*$", printed.getvalue(), re.MULTILINE)
    report = {**summary(found), "optimizer": options.optimizer, "engine": engine}
    print("RESULT", json.dumps(report), flush=True)


def config_of(options: argparse.Namespace, *, run: str) -> TrainConfig:
    """The settings of the training: the engine is what `vitrine train` chooses, the rate what its recipe assumes."""
    rate = rate_to_remember(
        options.rank,
        tokens_per_step=options.tokens,
        steps=options.steps,
        hidden=AutoConfig.from_pretrained(options.model).hidden_size,
        optimizer=options.optimizer,
    )
    return TrainConfig(
        data=(options.data,), run=run, base=options.model, epochs=1_000, max_steps=options.steps, max_length=MAX_LENGTH,
        tokens_per_step=options.tokens, base_precision=options.precision, lora_rank=options.rank,
        optimizer=options.optimizer, learning_rate=rate, save_every=options.steps, save_minutes=1e6, ledger=True,
        recall=False,
    )  # fmt: skip


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run without those of each step, and whether its loss fell."""
    losses = found["losses"]
    quarter = max(1, len(losses) // 4)
    first, last = sum(losses[:quarter]) / quarter, sum(losses[-quarter:]) / quarter
    kept = ("steps", "tokens_per_s", "step_s", "waiting_share", "peak_memory_gib")
    return {
        **{name: found[name] for name in kept},
        "losses": [losses[0], losses[-1]],
        "is_loss_falling": all(map(math.isfinite, losses)) and last < first,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
