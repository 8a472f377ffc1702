"""Trains an adapter: the entry point of `accelerate launch -m trainer.train`, on every rank."""

import logging
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object

from command.caller import end_with_caller
from command.entry import exit_code
from command.options import parse_settings
from contract.errors import UserError
from trainer.config import TINY_BASE, TrainConfig
from trainer.engines.base import add_lora, load_base, load_tokenizer
from trainer.engines.engine import NativeEngine, check_engine, check_isolation, choose_engine
from trainer.engines.tiny import make_tiny_base
from trainer.examples.encoder import Encoder
from trainer.loop import fit, without_long_collections
from trainer.plan.data_sets import DataSet, open_data
from trainer.plan.order import Rank, rows_of_epoch
from trainer.runs import names
from trainer.runs.checkpoint import Progress, find_last, load_checkpoint, save_adapter
from trainer.runs.copies import check_copy, copy_run
from trainer.runs.folder import RunLock, base_in_the_making, base_of, check_run, check_same, claim_run, is_run
from trainer.runs.precision import chosen_precision, write_trials
from trainer.runs.settings import load_train_config
from trainer.shards.cache import open_cache
from trainer.step import Trainee, make_optimizer
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream

log = logging.getLogger(__name__)

# Settings that may change between a checkpoint and its resume. Of `data` the stream says what must not.
_FREE: Final = (
    *("data", "run", "copy_to", "resume", "overwrite", "max_steps", "save_every", "log_every"),
    *("tokens_per_batch", "skip_damaged", "cache", "cache_limit", "ledger"),
)
_WHOLE_COPIES: Final = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)


def main(argv: Sequence[str]) -> int:
    """Exit code 0, or 2 where the user has to change something."""
    end_with_caller()  # or ranks would train on without their command
    return exit_code(
        lambda: train(
            parse_settings(TrainConfig, argv, prog="trainer.train", description=__doc__, load=load_train_config)
        )
    )


def train(config: TrainConfig) -> None:
    """Trains from the beginning, or from the last checkpoint, to RUN/adapter."""
    with RunLock(Path(config.run)) as lock:
        _train(config, lock)


def _train(config: TrainConfig, lock: RunLock) -> None:
    data = open_data(config.data, limit=config.limit)
    check_run(config)
    check_engine(config)
    open_cache(config, data)  # which may be of no use: said before a base is made
    accelerator = Accelerator()
    check_strategy(accelerator)
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(config.seed)
    run = Path(config.run)

    if accelerator.is_main_process:
        lock.take()
        check_copy(config)
    last = find_last(run) if config.resume else None
    if is_run(run) and not (last or config.overwrite):
        accelerator.print(f"{run} has no checkpoint yet: its training begins anew", flush=True)
    with _base(config, data, accelerator, last=last) as (base, new_base):
        if config.resume and config.base_precision == "auto":
            config = replace(config, base_precision=chosen_precision(run))
        # Whatever can be wrong is found before anything of an earlier run is touched.
        trainee, stream = build(config, data, accelerator, base=base)
        identity = _identity(config, trainee, stream)
        start = Progress(0, Cursor())
        if last:
            start = load_checkpoint(last, trainee.model, trainee.optimizer, identity=identity)
            trainee.engine.import_adapter()
            accelerator.print(f"going on from {last}", flush=True)
        elif config.resume:
            check_same(run, identity)
        _check_start(start)
        if accelerator.is_main_process:
            lock.take(make_folder=True)
            claim_run(config, data, identity=identity, new_base=new_base)
            if isinstance(trainee.engine, NativeEngine) and trainee.engine.trials:
                write_trials(run, trainee.engine.trials)
        accelerator.wait_for_everyone()
    accelerator.print(_plan_text(config, stream, trainee), flush=True)

    started = time.monotonic()
    try:
        with without_long_collections():
            end = fit(trainee, stream, config, start=start, identity=identity)
        if accelerator.is_main_process:
            trainee.engine.export_adapter()
            save_adapter(trainee.model, run / names.ADAPTER)
            if config.copy_to:
                copy_run(run, config.copy_to)
    except OSError as error:
        raise UserError(f"{run} could not be written: {error}; mend that, then go on with --resume") from error
    num_steps, seconds = end.step - start.step, time.monotonic() - started
    accelerator.print(f"trained {num_steps} steps in {seconds:.0f}s: {run / names.ADAPTER}")
    if told := _left_out_text(end, config):
        accelerator.print(told)
    accelerator.end_training()


@contextmanager
def _base(
    config: TrainConfig, data: tuple[DataSet, ...], accelerator: Accelerator, *, last: Path | None
) -> Iterator[tuple[str, Path | None]]:
    """Where the base lies, twice for a tiny one that was made and is to be moved into the run's folder. Collective."""
    run, new_base = Path(config.run), None
    base = base_of(run, config.base)
    if config.base == TINY_BASE and not (last or (config.resume and Path(base).is_dir())):
        new_base = base_in_the_making(run)
        base = str(new_base)
    try:
        if new_base and accelerator.is_main_process:
            make_tiny_base(data, folder=new_base, seed=config.seed, window=config.max_length)
        accelerator.wait_for_everyone()
        yield base, new_base
    finally:
        if new_base and accelerator.is_main_process:
            shutil.rmtree(new_base, ignore_errors=True)  # where it was not moved


def build(
    config: TrainConfig, data: tuple[DataSet, ...], accelerator: Accelerator, *, base: str
) -> tuple[Trainee, PackStream]:
    """The 4-bit base with its adapter, and this rank's stream of packs."""
    tokenizer = load_tokenizer(base)
    stream = PackStream(
        data,
        Encoder(tokenizer, max_length=config.max_length),
        Rank(accelerator.process_index, accelerator.num_processes),
        max_length=config.max_length,
        packs_per_step=config.packs_per_step,
        seed=config.seed,
        skip_damaged=config.skip_damaged,
        cache=open_cache(config, data),
    )
    device = accelerator.device
    engine, why = choose_engine(
        lambda: add_lora(load_base(base, device=device, compute_type=config.compute_type), config),
        config,
        sample=lambda: next(replace(stream, rank=Rank(0, 1)).epoch(Cursor())).packs,
        base=base,
        device=device,
    )
    accelerator.print(f"engine {engine.name}: {why}", flush=True)
    check_isolation(engine, vocabulary=len(tokenizer))
    return Trainee(engine.model, engine, make_optimizer(engine, config), accelerator), stream


def check_strategy(accelerator: Accelerator) -> None:
    """Raises UserError where the launcher would cut up or move the base: only whole copies on every GPU are right."""
    strategy = accelerator.distributed_type
    if strategy not in _WHOLE_COPIES:
        raise UserError(
            f"accelerate is configured for {strategy.value}, expected one whole copy of the base on each GPU: cut up,"
            " a 4-bit base is damaged (its bytes are no numbers to be split or cast), and up to 8B parameters it fits"
            " on every GPU anyway. Run 'vitrine train', or 'accelerate launch --multi_gpu'"
        )


def _check_start(start: Progress) -> None:
    """UserError where ranks would go on from different steps. Collective."""
    steps = gather_object([start.step])
    if len(set(steps)) > 1:
        raise UserError(
            f"ranks would go on from different steps ({', '.join(map(str, steps))}): the run's folder has to be one"
            " that all machines share"
        )


def _left_out_text(end: Progress, config: TrainConfig) -> str:
    """What of the data the whole run, with all its resumes, has not learnt; nothing where that is nothing."""
    parts = []
    if end.cut_records:
        parts.append(f"{end.cut_records:,} records were longer than {config.max_length} tokens and cut")
    if end.skipped_records:
        parts.append(f"{end.skipped_records:,} records could not be read and were skipped")
    return "; ".join(parts)


def _identity(config: TrainConfig, trainee: Trainee, stream: PackStream) -> dict[str, Any]:
    """What must not change between a checkpoint and its resume."""
    settings = {name: value for name, value in asdict(config).items() if name not in _FREE}
    if isinstance(trainee.engine, NativeEngine):
        settings["base_precision"] = trainee.engine.precision
    return settings | {"engine": trainee.engine.name} | stream.identity()


def _plan_text(config: TrainConfig, stream: PackStream, trainee: Trainee) -> str:
    trained = sum(parameter.numel() for parameter in trainee.engine.parameters())
    device = trainee.accelerator.device
    num_rows = rows_of_epoch([data_set.rows for data_set in stream.data])
    parts = [f"{num:,} of {each.rows.num:,} of {each.root}" for num, each in zip(num_rows, stream.data, strict=True)]
    mixture = f" ({', '.join(parts)})" if len(parts) > 1 else ""
    return (
        f"{stream.num_records:,} records{mixture} x {config.epochs} epochs in packs of {config.max_length} tokens,"
        f" {config.packs_per_step} packs a step, on {trainee.accelerator.num_processes} x {device.type};"
        f" {trained:,} trained parameters on {config.base}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
