"""Trains an adapter: the entry point of `accelerate launch -m trainer.train`, on every rank."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast_object_list, gather_object
from transformers import PreTrainedTokenizerBase

from command.caller import end_with_caller
from command.entry import exit_code
from command.options import parse_settings
from command.settings import settings_of_result
from contract.errors import UserError
from trainer.bases.digest import weights_digest
from trainer.config import TINY_BASE, TrainConfig
from trainer.engines.base import add_lora, load_base, load_tokenizer
from trainer.engines.engine import NativeEngine, check_engine, check_isolation, choose_engine
from trainer.engines.tiny import make_tiny_base
from trainer.examples.encoder import Encoder
from trainer.examples.wordings import find_wordings
from trainer.facts import measure_catalogue, measure_machine
from trainer.loop import Observers, fit, without_long_collections
from trainer.plan.data_sets import DataSet, open_data
from trainer.plan.order import Rank, rows_of_epoch
from trainer.rates import RECORDS, RateTrial, assumed_text, is_tried, trial_text, try_rates, write_trials
from trainer.recall.probe import make_probe
from trainer.recipes.advice import Plan, expectation_text
from trainer.recipes.choice import choose_recipe, recipe_text
from trainer.recipes.recipe import SEED, Recipe
from trainer.runs import names
from trainer.runs.checkpoint import BASE_WEIGHTS, RunState, find_last, load_checkpoint, save_adapter
from trainer.runs.copies import check_copy, copy_run, delete_copy
from trainer.runs.expected import reached_text, write_expectation
from trainer.runs.folder import base_of, check_run, check_same, claim_run, is_run, temporary_base
from trainer.runs.json_files import write_json
from trainer.runs.metrics import open_sinks
from trainer.runs.ownership import RunLock
from trainer.runs.recalls import Report, report_text
from trainer.runs.settings import load_train_config
from trainer.shards.cache import open_cache
from trainer.step import TrainState, make_train_state
from trainer.stream.cursor import Cursor
from trainer.stream.lanes import first_records
from trainer.stream.packs import PackStream

_WHOLE_COPIES: Final = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)


def main(argv: Sequence[str] | None = None) -> int:
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
    if config.parts > 1:
        raise UserError(f"parts = {config.parts}: 'vitrine train' trains parts, each by a call of this program")
    data = open_data(config.data, limit=config.limit)
    check_run(config)
    check_engine(config)
    find_wordings(config.wording)  # an unknown name is reported before a base is made
    open_cache(config, data)  # a cache that cannot be used is reported before a base is made
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
        tokenizer = load_tokenizer(base)
        catalogue = measure_catalogue(config, data, tokenizer=tokenizer)
        machine = measure_machine(config, base, device=accelerator.device)
        recipe, why = choose_recipe(config, catalogue, machine=machine)
        accelerator.print(recipe_text(config, recipe, why=why), flush=True)
        is_assumed = is_tried(config, machine)
        config = replace(config, **asdict(recipe))
        # All that can be wrong is found before any file of an earlier run is changed.
        state, stream = build(config, data, accelerator, recipe=recipe, base=base, tokenizer=tokenizer)
        plan = Plan(config, recipe, catalogue, machine=machine, parameters=_num_parameters(state))
        recipe, trials = _with_tried_rate(recipe, state, stream, config=config) if is_assumed else (recipe, [])
        config = replace(config, learning_rate=recipe.learning_rate)
        start = _start(config, state, stream, base=base, last=last)
        if accelerator.is_main_process:
            lock.take(make_folder=True)
            claim_run(config, data, identity=start.identity, new_base=new_base)
            write_expectation(run, plan)
            if trials:
                write_trials(run, trials)
            if config.copy_to and config.overwrite:
                delete_copy(config.copy_to)
        accelerator.wait_for_everyone()
    accelerator.print(_plan_text(config, stream, state, recipe=recipe), flush=True)
    accelerator.print(expectation_text(plan), flush=True)

    started = time.monotonic()
    try:
        with open_sinks(config, accelerator, last_step=start.step) as sinks, without_long_collections():
            probe = None
            if config.recall:
                probe = make_probe(config, state.engine, stream=stream, recipe=recipe, step=start.step)
            observers = Observers(sinks, probe)
            end = fit(state, stream, config=config, recipe=recipe, start=start, observers=observers)
            seconds = time.monotonic() - started
            report = _finish(observers, start=start, end=end)
        if accelerator.is_main_process:
            state.engine.export_adapter()
            save_adapter(state.engine.model, run / names.ADAPTER)
            if report:
                write_json(run / names.RECALL, report)
                write_expectation(run, plan, report=report)
            if config.copy_to:
                copy_run(run, config.copy_to)
    except OSError as error:
        raise UserError(f"{run} could not be written: {error}; mend that, then go on with --resume") from error
    accelerator.print(f"trained {end.step - start.step} steps in {seconds:.0f}s: {run / names.ADAPTER}")
    if left_out := _left_out_text(end, recipe):
        accelerator.print(left_out)
    if report:
        accelerator.print(f"{report_text(report)}\n{reached_text(plan, report)}")
    accelerator.end_training()


@contextmanager
def _base(
    config: TrainConfig, data: tuple[DataSet, ...], accelerator: Accelerator, *, last: Path | None
) -> Iterator[tuple[str, Path | None]]:
    """The path or hub name of the base; the path also as second value if it is a tiny base made here. Collective.

    A base made here has to be moved into the run's folder inside the block, or else it is deleted.
    """
    base = base_of(Path(config.run), config.base)
    if config.base != TINY_BASE or last or (config.resume and Path(base).is_dir()):
        accelerator.wait_for_everyone()
        yield base, None
        return
    new_base = temporary_base(Path(config.run))
    with RunLock(new_base) as lock:
        if accelerator.is_main_process:
            lock.take(make_folder=True)  # another training may want to make the base of the same new run
        try:
            if accelerator.is_main_process:
                window = config.max_length or SEED.max_length
                make_tiny_base(
                    data,
                    folder=new_base,
                    seed=config.seed,
                    check=partial(Encoder, max_length=window, wordings=find_wordings(config.wording)),
                    skip_damaged=config.skip_damaged,
                )
            accelerator.wait_for_everyone()
            yield str(new_base), new_base
        finally:
            if accelerator.is_main_process:
                shutil.rmtree(new_base, ignore_errors=True)  # unless it was moved


def build(
    config: TrainConfig,
    data: tuple[DataSet, ...],
    accelerator: Accelerator,
    *,
    recipe: Recipe,
    base: str,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[TrainState, PackStream]:
    """The base with its adapter, ready to be trained, and this rank's stream of packs."""
    stream = PackStream(
        data,
        Encoder(tokenizer, max_length=recipe.max_length, wordings=find_wordings(config.wording)),
        Rank(accelerator.process_index, accelerator.num_processes),
        packs_per_step=recipe.packs_per_step,
        seed=config.seed,
        skip_damaged=config.skip_damaged,
        cache=open_cache(config, data),
    )
    device = accelerator.device
    engine, why = choose_engine(
        lambda: add_lora(load_base(base, device=device, compute_type=config.compute_type), config, recipe=recipe),
        config,
        recipe=recipe,
        base=base,
        device=device,
    )
    accelerator.print(f"engine {engine.name}: {why}", flush=True)
    check_isolation(engine, vocabulary=len(tokenizer))
    return make_train_state(engine, accelerator, config=config, recipe=recipe), stream


def _with_tried_rate(
    recipe: Recipe, state: TrainState, stream: PackStream, *, config: TrainConfig
) -> tuple[Recipe, list[RateTrial]]:
    """The recipe with the rate that a trial finds, and the trial; without a GPU as it is. Collective."""
    if state.accelerator.device.type != "cuda":
        state.accelerator.print(assumed_text(), flush=True)
        return recipe, []
    examples = stream.encoder.encode(first_records(stream.data, min(RECORDS, stream.num_records), skip_damaged=True))
    trials = try_rates(state.engine, examples, config=config, recipe=recipe) if examples else []
    for trial in trials:
        state.accelerator.print(trial_text(trial, num_records=len(examples)), flush=True)
    rates = [trial.rate for trial in trials if trial.is_chosen]
    return replace(recipe, learning_rate=rates[0]) if rates else recipe, trials


def check_strategy(accelerator: Accelerator) -> None:
    """Raises UserError if the launcher would split or move the base: each GPU needs a whole copy of it."""
    strategy = accelerator.distributed_type
    if strategy not in _WHOLE_COPIES:
        raise UserError(
            f"accelerate is configured for {strategy.value}, expected one whole copy of the base on each GPU: splitting"
            " damages a 4-bit base (its bytes are not numbers that can be split or cast), and a base of up to 8B"
            " parameters fits on every GPU. Run 'vitrine train', or 'accelerate launch --multi_gpu'"
        )


def _start(config: TrainConfig, state: TrainState, stream: PackStream, *, base: str, last: Path | None) -> RunState:
    """The state of the run before its first step. Loads the last checkpoint, if there is one. Collective.

    UserError if a resume would not go on with the settings and data of the run, or ranks have different checkpoints.
    """
    run, accelerator, engine = Path(config.run), state.accelerator, state.engine
    start = RunState(0, Cursor.start(), _identity(config, state, stream, base=base))
    if last:
        start = load_checkpoint(last, model=engine.model, optimizer=state.optimizer, identity=start.identity)
        engine.import_adapter()
        if state.loss_scale and start.loss_scale:
            state.loss_scale = start.loss_scale
        accelerator.print(f"going on from {last}", flush=True)
    elif config.resume:
        check_same(run, start.identity)
    steps = gather_object([start.step])
    if len(set(steps)) > 1:
        raise UserError(
            f"ranks would go on from different steps ({', '.join(map(str, steps))}): the run's folder has to be one"
            " that all machines share"
        )
    return start


def _finish(observers: Observers, *, start: RunState, end: RunState) -> Report | None:
    """What the run has remembered, if it has a probe; the sinks get it if there was a step to train. Collective."""
    if observers.probe is None:
        return None
    report = observers.probe.finish(end.step, end.cursor)
    for sink in observers.sinks if end.step > start.step else ():
        sink(observers.probe.measured[-1])
    return report


def _identity(config: TrainConfig, state: TrainState, stream: PackStream, *, base: str) -> dict[str, Any]:
    """What has to be the same at a checkpoint and at its resume. Collective."""
    digest = weights_digest(base) if state.accelerator.is_main_process else None
    is_fp8 = isinstance(state.engine, NativeEngine) and state.engine.precision == "fp8"
    decided = {
        "engine": state.engine.name,
        "base_precision": "fp8" if is_fp8 else "nf4 or bf16",  # NF4 and its values in 16 bit are the same function
        BASE_WEIGHTS: broadcast_object_list([digest])[0],
    }
    return settings_of_result(config) | decided | stream.identity()


def _left_out_text(end: RunState, recipe: Recipe) -> str:
    """How often the whole run, with all its resumes, cut or skipped a record; empty if it did neither."""
    parts = []
    if end.cut_records:
        parts.append(f"{end.cut_records:,} times a record was longer than {recipe.max_length} tokens and cut")
    if end.skipped_records:
        parts.append(f"{end.skipped_records:,} times a record could not be read and was skipped")
    return "; ".join(parts)


def _num_parameters(state: TrainState) -> int:
    """Of the adapter."""
    return sum(parameter.numel() for parameter in state.engine.parameters())


def _plan_text(config: TrainConfig, stream: PackStream, state: TrainState, *, recipe: Recipe) -> str:
    num_rows = rows_of_epoch([data_set.rows for data_set in stream.data])
    parts = [f"{num:,} of {each.rows.num:,} of {each.root}" for num, each in zip(num_rows, stream.data, strict=True)]
    mixture = f" ({', '.join(parts)})" if len(parts) > 1 else ""
    return (
        f"{stream.num_records:,} records{mixture} x {recipe.epochs} epochs in packs of {recipe.max_length} tokens,"
        f" {recipe.packs_per_step} packs a step, on {state.accelerator.num_processes} x"
        f" {state.accelerator.device.type}; {_num_parameters(state):,} trained parameters on {config.base}"
    )


if __name__ == "__main__":
    sys.exit(main())
