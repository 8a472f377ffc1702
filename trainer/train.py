"""Trains an adapter: the entry point of `accelerate launch -m trainer.train`, on every rank."""

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator

from contract.errors import UserError
from contract.manifest import Manifest, read_manifest
from contract.settings import exit_code, parse_settings
from trainer.checkpoint import Progress, find_last, load_checkpoint, save_adapter
from trainer.config import TINY_BASE, TrainConfig
from trainer.engine import check_isolation, choose_engine
from trainer.examples import Encoder
from trainer.loop import Trainee, fit
from trainer.model import add_lora, load_base, load_tokenizer
from trainer.plan import Rank
from trainer.run import ADAPTER_NAME, base_of, check_run, clear_run, write_info
from trainer.stream import Cursor, PackStream
from trainer.tiny import make_tiny_base

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Exit code 0, or 2 where the user has to change something."""
    return exit_code(lambda: train(parse_settings(TrainConfig, argv, prog="trainer.train", description=__doc__)))


def train(config: TrainConfig) -> None:
    """Trains from the beginning, or from the last checkpoint, to RUN/adapter."""
    manifest = read_manifest(config.data)
    if not manifest.num_rows("train"):
        raise UserError(f"the train split of {config.data} is empty: there is nothing to learn")
    accelerator = Accelerator()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(config.seed)
    run = Path(config.run)

    check_run(config)
    if accelerator.is_main_process and config.base == TINY_BASE and not config.resume:
        make_tiny_base(config.data, manifest, folder=Path(base_of(run, config.base)), seed=config.seed)
    accelerator.wait_for_everyone()
    # Whatever can be wrong with the base is found before anything of an earlier run is touched.
    trainee, stream = build(config, manifest, accelerator)
    if accelerator.is_main_process:
        if not config.resume:
            clear_run(config)
        write_info(config, manifest)
    accelerator.wait_for_everyone()

    identity = _identity(config, manifest) | {"engine": trainee.engine.name}
    start = Progress(0, Cursor())
    if config.resume and (last := find_last(run)):
        start = load_checkpoint(last, trainee.model, trainee.optimizer, identity=identity)
        trainee.engine.take_adapter()
        accelerator.print(f"going on from {last}")
    accelerator.print(_plan_text(config, stream, trainee))

    started = time.monotonic()
    end = fit(trainee, stream, config, start=start, identity=identity)
    if accelerator.is_main_process:
        trainee.engine.give_adapter()
        save_adapter(trainee.model, run / ADAPTER_NAME)
    num_steps, seconds = end.step - start.step, time.monotonic() - started
    accelerator.print(f"trained {num_steps} steps in {seconds:.0f}s: {run / ADAPTER_NAME}")
    accelerator.end_training()


def build(config: TrainConfig, manifest: Manifest, accelerator: Accelerator) -> tuple[Trainee, PackStream]:
    """The 4-bit base with its adapter, and this rank's stream of packs."""
    base = base_of(Path(config.run), config.base)
    tokenizer = load_tokenizer(base)
    model = add_lora(load_base(base, device=accelerator.device), config)
    engine, why = choose_engine(model, config)
    accelerator.print(f"engine {engine.name}: {why}")
    check_isolation(engine, vocabulary=len(tokenizer))
    optimizer = torch.optim.AdamW(
        engine.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=accelerator.device.type == "cuda",
    )
    stream = PackStream(
        config.data,
        manifest,
        Encoder(tokenizer, max_length=config.max_length),
        Rank(accelerator.process_index, accelerator.num_processes),
        max_length=config.max_length,
        packs_per_step=config.packs_per_step,
        seed=config.seed,
        limit=config.limit,
    )
    return Trainee(model, engine, optimizer, accelerator), stream


def _identity(config: TrainConfig, manifest: Manifest) -> dict[str, Any]:
    """What must not change between a checkpoint and its resume."""
    names = ("base", "epochs", "limit", "max_length", "tokens_per_step", "lora_rank", "lora_alpha", "seed")
    return {"dataset_id": manifest.dataset_id} | {name: getattr(config, name) for name in names}


def _plan_text(config: TrainConfig, stream: PackStream, trainee: Trainee) -> str:
    trained = sum(parameter.numel() for parameter in trainee.engine.parameters())
    device = trainee.accelerator.device
    return (
        f"{stream.num_records:,} records x {config.epochs} epochs in packs of {config.max_length} tokens,"
        f" {config.packs_per_step} packs a step, on {trainee.accelerator.num_processes} x {device.type};"
        f" {trained:,} trained parameters on {config.base} in 4 bit"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
