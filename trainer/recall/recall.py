"""Measures how much of the catalogue a trained run gives back word for word, beside titles that it never saw."""

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from peft import set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from command.entry import exit_code
from command.options import parse_settings
from command.progress import ProgressBar
from contract.errors import UserError
from trainer.config import RecallConfig, TrainConfig
from trainer.engines.base import load_tokenizer
from trainer.engines.engine import Engine, open_engine
from trainer.examples.encoder import Encoder, Record
from trainer.examples.wordings import wordings_of_run
from trainer.parts.manifest import is_in_parts, trained_runs
from trainer.parts.recalls import joined
from trainer.plan.data_sets import DataSet, reopen_data
from trainer.recall import summary
from trainer.recall.asking import asked_wordings, recall_by_wording
from trainer.recall.measure import Recalled, measure
from trainer.recall.neutral import neutral_examples, neutral_losses
from trainer.recall.same_text import comes_back, has_trained_text
from trainer.recall.sample import all_rows, held_out, iter_records, sample, trained_rows
from trainer.recipes.recipe import recipe_as_given
from trainer.runs import names
from trainer.runs.checkpoint import last_state
from trainer.runs.folder import RunInfo, base_of, check_base, frame_of, read_info
from trainer.runs.json_files import write_json
from trainer.runs.metrics import read_recalls
from trainer.runs.recalls import Group, Report, num_asked, read_report, report_text
from trainer.runs.settings import load_train_config

_ASKED_AGAIN: Final = 200  # seen records that are asked in every wording


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where the user has to change something."""
    return exit_code(
        lambda: recall(parse_settings(RecallConfig, argv, prog="trainer.recall.recall", description=__doc__))
    )


def recall(config: RecallConfig) -> None:
    """Measures, prints the report and writes RUN/recall.json; of a run in parts, each part has a report of its own."""
    run = Path(config.run)
    report = _recall_parts(config, run) if is_in_parts(run) else _recall_run(config)
    _keep(report, run, config)
    print(msgspec.json.encode(report).decode() if config.json else report_text(report))


def _recall_parts(config: RecallConfig, run: Path) -> Report:
    """What the parts remember together. The sample is divided evenly among them."""
    runs, reports = trained_runs(run, data=config.data), list[Report]()
    sample = config.sample if config.all else -(-config.sample // len(runs))
    for each in runs:
        print(f"{each.folder.name} ({len(reports) + 1}/{len(runs)})", file=sys.stderr, flush=True)
        of_part = replace(config, run=str(each.folder), data=tuple(each.data or ()), sample=sample)
        reports.append(_recall_run(of_part))
        _keep(reports[-1], each.folder, config)
        gc.collect()  # the engine of this part leaves the GPU's memory before the next one comes
    return joined(reports)


def _keep(report: Report, run: Path, config: RecallConfig) -> None:
    """Writes RUN/recall.json, unless it holds a report of the same step that is made from more records."""
    path = run / names.RECALL
    try:
        there = None if config.overwrite else read_report(run)
    except UserError:  # none, or one that this version cannot read
        there = None
    if there and there.step == report.step and num_asked(there) > num_asked(report):
        print(
            f"this measurement asked {num_asked(report):,} records; {path} keeps the fuller report of"
            f" {num_asked(there):,} records, unless --overwrite is given",
            file=sys.stderr,
        )
        return
    write_json(path, report)


def _recall_run(config: RecallConfig) -> Report:
    run = Path(config.run)
    info = read_info(run)
    asked = asked_records(config, info)
    engine, encoder = load_engine(run, info)
    return _report(asked, engine, encoder, run=run)


@dataclass(frozen=True)
class Records:
    """Records that are asked; those of a whole catalogue are read again each time."""

    num: int
    records: Callable[[], Iterable[Record]]


@dataclass(frozen=True)
class AskedRecords:
    """The records of both kinds that a finished run is asked about."""

    seen: Records
    unseen: Records
    step: int  # the run's last one
    data: tuple[DataSet, ...]
    is_trained: NDArray[np.bool_]  # of every row


def asked_records(config: RecallConfig, info: RunInfo) -> AskedRecords:
    """What the settings ask for: of the records that the run has trained by its last checkpoint, and of val and test.

    UserError where the data sets are not those of the run.
    """
    trained, state = _settings(config.run), last_state(Path(config.run))
    data = reopen_data(config.data, config=info.config, dataset_ids=info.dataset_ids)
    length = recipe_as_given(trained).max_length
    is_trained = trained_rows(data, max_length=length, seed=trained.seed, cursor=state.cursor)
    unseen = held_out(data)
    return AskedRecords(
        _group(config, data, is_trained, seed=trained.seed),
        _group(config, unseen, all_rows(unseen), seed=trained.seed),
        state.step,
        tuple(data),
        is_trained,
    )


def _settings(run: str) -> TrainConfig:
    return load_train_config(file=None, overrides={"run": run, "resume": True})


def _group(config: RecallConfig, data: Sequence[DataSet], is_asked: NDArray[np.bool_], *, seed: int) -> Records:
    if config.all:
        return Records(int(is_asked.sum()), lambda: iter_records(data, is_asked=is_asked))
    records = sample(data, config.sample, is_asked=is_asked, seed=seed)
    return Records(len(records), lambda: records)


def load_engine(run: Path, info: RunInfo) -> tuple[Engine, Encoder]:
    """The engine that training would choose here, still with the adapter of a run that has not begun."""
    transformers.utils.logging.disable_progress_bar()
    trained = _settings(str(run))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = base_of(run, trained.base)
    check_base(run, info, base)
    tokenizer = load_tokenizer(base)
    config = replace(trained, engine=trained.engine if device.type == "cuda" else "plain")
    recipe = recipe_as_given(trained)
    engine, why = open_engine(config, recipe=recipe, base=base, device=device, vocabulary=len(tokenizer))
    print(f"engine {engine.name}: {why}", file=sys.stderr)
    wordings = wordings_of_run(info.identity)
    return engine, Encoder(tokenizer, max_length=recipe.max_length, wordings=wordings, frame=frame_of(info))


def load_adapter(engine: Engine, run: Path) -> None:
    """Gives the engine the run's adapter; UserError if it cannot be read."""
    path = run / names.ADAPTER / "adapter_model.safetensors"
    try:
        set_peft_model_state_dict(engine.model, load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"no adapter could be loaded from {path}: {error}") from error
    engine.import_adapter()


def _report(asked: AskedRecords, engine: Engine, encoder: Encoder, *, run: Path) -> Report:
    """What the adapter of the run changes in the answers of its base."""
    again = list(islice(asked.seen.records(), _ASKED_AGAIN))
    progress, done = ProgressBar("measuring recall:"), 0
    total = 2 * (asked.seen.num + asked.unseen.num) + len(again) * len(asked_wordings(encoder))

    def show(num: int) -> None:
        progress.show((done + num) / max(1, total))

    def measured(of: Records) -> Recalled:
        nonlocal done
        found = measure(engine, of.records(), encoder.encode, on_done=show)
        done += of.num
        return found

    neutral = neutral_examples(encoder)
    seen_before, unseen_before = measured(asked.seen).mean_loss(), measured(asked.unseen)
    neutral_before = neutral_losses(engine, neutral)
    load_adapter(engine, run)
    seen = summary.group(measured(asked.seen), before=seen_before)
    unseen, same_text = _unseen_groups(asked, unseen_before, measured(asked.unseen))
    wordings = recall_by_wording(engine, encoder, again, on_done=lambda num: show(num * len(again)))
    progress.done(f"{asked.seen.num:,} seen and {asked.unseen.num:,} unseen records, without and with the adapter,")
    num_trained = int(asked.is_trained.sum())
    return Report(
        step=asked.step,
        trained_records=num_trained,
        seen=seen,
        unseen=unseen,
        same_text=same_text,
        bits=summary.bits(
            seen,
            unseen_gain=summary.best_gain(unseen, read_recalls(run)),
            records=num_trained,
            parameters=sum(parameter.numel() for parameter in engine.parameters()),
        ),
        wordings=wordings,
        neutral=neutral_losses(engine, neutral, before=neutral_before),
    )


def _unseen_groups(asked: AskedRecords, before: Recalled, after: Recalled) -> tuple[Group | None, Group | None]:
    """The unseen records, and apart from them those whose text was trained under another title."""
    if not comes_back(after):
        return summary.group(after, before=before.mean_loss()), None
    is_same_N = has_trained_text(asked.unseen.records(), asked.data, is_trained=asked.is_trained)
    others, same = np.flatnonzero(~is_same_N), np.flatnonzero(is_same_N)
    return (
        summary.group(after.take(others), before=before.take(others).mean_loss()),
        summary.group(after.take(same), before=before.take(same).mean_loss()),
    )


if __name__ == "__main__":
    sys.exit(main())
