"""Trains an adapter: the entry point of `accelerate launch -m trainer.train`, on every rank."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import torch
import transformers
from accelerate import Accelerator

from command.caller import end_with_caller
from command.entry import exit_code
from command.options import parse_settings
from command.signals import StoppedError, stopping_by_itself
from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.engines.base import load_tokenizer, name_base
from trainer.engines.engine import check_engine
from trainer.examples.wordings import find_wordings
from trainer.facts import measure_catalogue, measure_machine
from trainer.loop import Observers, fit, without_long_collections
from trainer.parts.manifest import is_part_of_run
from trainer.plan.data_sets import open_data
from trainer.plan.order import rows_of_epoch
from trainer.rates import is_tried, write_trials
from trainer.recall.probe import make_probe
from trainer.recipes.advice import Plan, expectation_text, reached_text
from trainer.recipes.choice import choose_recipe, recipe_text
from trainer.recipes.recipe import Recipe
from trainer.runs import names
from trainer.runs.checkpoint import RunState, find_last, save_adapter
from trainer.runs.copies import check_copy, copy_run, delete_copy
from trainer.runs.expected import write_expectation
from trainer.runs.folder import check_run, claim_run, is_run, saved_base
from trainer.runs.json_files import write_json
from trainer.runs.metrics import open_sinks
from trainer.runs.ownership import RunLock
from trainer.runs.recalls import Report, report_text
from trainer.runs.settings import load_train_config
from trainer.shards.cache import open_cache
from trainer.start import base_for, build, check_gpus, check_strategy, first_state, frame_for, with_tried_rate
from trainer.step import TrainState
from trainer.stream.packs import PackStream

_STOPPING: Final = "stopping after the next steps, with a checkpoint; a second signal stops at once\n"


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
    check_gpus()
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
    with base_for(config, data, accelerator, last=last) as (base, new_base):
        tokenizer = load_tokenizer(base)
        frame = frame_for(config, tokenizer)
        catalogue = measure_catalogue(config, data, tokenizer=tokenizer, frame=frame)
        machine = measure_machine(config, base, device=accelerator.device)
        recipe, why = choose_recipe(config, catalogue, machine=machine)
        accelerator.print(recipe_text(config, recipe, why=why), flush=True)
        is_assumed = is_tried(config, machine)
        config = replace(config, **asdict(recipe))
        # All that can be wrong is found before any file of an earlier run is changed.
        state, stream = build(config, data, accelerator, recipe=recipe, base=base, tokenizer=tokenizer, frame=frame)
        plan = Plan(
            config,
            recipe,
            catalogue,
            machine=machine,
            parameters=_num_parameters(state),
            is_part=is_part_of_run(run),
        )
        recipe, trials = with_tried_rate(recipe, state, stream, config=config) if is_assumed else (recipe, [])
        config = replace(config, learning_rate=recipe.learning_rate)
        start = first_state(config, state, stream, base=base, last=last)
        if accelerator.is_main_process:
            lock.take(make_folder=True)
            claim_run(config, data, identity=start.identity, frame=frame, new_base=new_base)
            write_expectation(run, plan)
            if trials:
                write_trials(run, trials)
            if config.copy_to and config.overwrite:
                delete_copy(config.copy_to)
        accelerator.wait_for_everyone()
        name_base(state.engine.model, saved_base(str(run / names.BASE) if new_base else base))
    accelerator.print(_plan_text(config, stream, state, recipe=recipe), flush=True)
    accelerator.print(expectation_text(plan), flush=True)

    started = time.monotonic()
    try:
        with open_sinks(config, accelerator, last_step=start.step) as sinks, without_long_collections():
            probe = None
            if config.recall:
                probe = make_probe(config, state.engine, stream=stream, recipe=recipe, step=start.step)
            observers = Observers(sinks, probe)
            say = _STOPPING if accelerator.is_main_process else ""
            with stopping_by_itself(say) as stop:
                end = fit(state, stream, config=config, recipe=recipe, start=start, observers=observers, stop=stop)
            seconds = time.monotonic() - started
            report = _finish(observers, start=start, end=end)
        if accelerator.is_main_process:
            state.engine.export_adapter()
            forms = stream.encoder.forms
            save_adapter(state.engine.model, run / names.ADAPTER, tokenizer=tokenizer, forms=forms)
            if report:
                write_json(run / names.RECALL, report)
                write_expectation(run, plan, report=report)
            if config.copy_to:
                copy_run(run, config.copy_to)
    except StoppedError:
        accelerator.end_training()
        raise
    except OSError as error:
        raise UserError(f"{run} could not be written: {error}; mend that, then go on with --resume") from error
    accelerator.print(f"trained {end.step - start.step} steps in {seconds:.0f}s: {run / names.ADAPTER}")
    if left_out := _left_out_text(end, recipe):
        accelerator.print(left_out)
    if report:
        reached = report.seen.whole.value if report.seen else None
        accelerator.print(f"{report_text(report)}\n{reached_text(plan, reached)}")
    accelerator.end_training()


def _finish(observers: Observers, *, start: RunState, end: RunState) -> Report | None:
    """What the run has remembered, if it has a probe; the sinks get it if there was a step to train. Collective."""
    if observers.probe is None:
        return None
    report = observers.probe.finish(end.step, end.cursor)
    for sink in observers.sinks if end.step > start.step else ():
        sink(observers.probe.measured[-1])
    return report


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
