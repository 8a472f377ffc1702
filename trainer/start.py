"""What stands before the first step: the base, the engine, the stream, and the state that a run goes on from."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast_object_list, gather_object
from transformers import PreTrainedTokenizerBase

from command.machine import count_gpus
from command.settings import settings_of_result
from contract.errors import UserError, first_line
from trainer.bases.digest import weights_digest
from trainer.config import TINY_BASE, TrainConfig
from trainer.engines.dense import experts_text
from trainer.engines.engine import NativeEngine, open_engine
from trainer.engines.tiny import make_tiny_base
from trainer.examples.encoder import Encoder
from trainer.examples.prompt import Frame, read_frame
from trainer.examples.wordings import find_wordings
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Rank
from trainer.rates import RECORDS, RateTrial, assumed_text, trial_text, try_rates
from trainer.recipes.recipe import SEED, Recipe
from trainer.runs.checkpoint import RunState, load_checkpoint
from trainer.runs.folder import base_of, check_same, kept_frame, temporary_base
from trainer.runs.ownership import RunLock
from trainer.runs.settings import BASE_WEIGHTS
from trainer.shards.cache import open_cache
from trainer.step import TrainState, make_train_state
from trainer.stream.cursor import Cursor
from trainer.stream.lanes import first_records
from trainer.stream.packs import PackStream

_WHOLE_COPIES: Final = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)


def check_gpus() -> None:
    """Raises UserError where PyTorch cannot use the GPUs of this machine: it would train on the CPU in silence."""
    is_for_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    if is_for_cpu or not (num_gpus := count_gpus()) or torch.cuda.is_available():
        return
    try:
        torch.cuda.init()  # which says why
        reason = "it sees none"
    except (RuntimeError, AssertionError) as error:  # no driver, or one too old; a PyTorch for CPUs
        reason = first_line(error)
    raise UserError(
        f"this machine has {num_gpus} GPU(s) that PyTorch {torch.__version__} cannot use: {reason}; update the driver,"
        " install a PyTorch for an earlier CUDA (https://pytorch.org/get-started/previous-versions), or give --cpu"
    )


def check_strategy(accelerator: Accelerator) -> None:
    """Raises UserError if the launcher would split or move the base: each GPU needs a whole copy of it."""
    strategy = accelerator.distributed_type
    if strategy not in _WHOLE_COPIES:
        raise UserError(
            f"accelerate is configured for {strategy.value}, expected one whole copy of the base on each GPU: splitting"
            " damages a 4-bit base (its bytes are not numbers that can be split or cast), and a base of up to 8B"
            " parameters fits on every GPU. Run 'vitrine train', or 'accelerate launch --multi_gpu'"
        )


@contextmanager
def base_for(
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


def frame_for(config: TrainConfig, tokenizer: PreTrainedTokenizerBase) -> Frame:
    """The frame of this run's questions: that with which it began, or for a new run the base's own."""
    kept = kept_frame(Path(config.run)) if config.resume else None
    return kept or read_frame(tokenizer)


def build(
    config: TrainConfig,
    data: tuple[DataSet, ...],
    accelerator: Accelerator,
    *,
    recipe: Recipe,
    base: str,
    tokenizer: PreTrainedTokenizerBase,
    frame: Frame,
) -> tuple[TrainState, PackStream]:
    """The base with its adapter, ready to be trained, and this rank's stream of packs."""
    stream = PackStream(
        data,
        Encoder(tokenizer, max_length=recipe.max_length, wordings=find_wordings(config.wording), frame=frame),
        Rank(accelerator.process_index, accelerator.num_processes),
        packs_per_step=recipe.packs_per_step,
        seed=config.seed,
        skip_damaged=config.skip_damaged,
        cache=open_cache(config, data),
    )
    engine, why = open_engine(config, recipe=recipe, base=base, device=accelerator.device, vocabulary=len(tokenizer))
    accelerator.print(f"engine {engine.name}: {why}", flush=True)
    if experts := experts_text(engine.model):
        accelerator.print(experts, flush=True)
    return make_train_state(engine, accelerator, config=config, recipe=recipe), stream


def with_tried_rate(
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


def first_state(
    config: TrainConfig, state: TrainState, stream: PackStream, *, base: str, last: Path | None
) -> RunState:
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
