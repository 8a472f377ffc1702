"""`vitrine train --parts K`: divides the catalogue, trains each part alone, and keeps RUN/parts.json up to date.

The training of a part is an ordinary one, in a process of its own, with a GPU of its own where there are some. Parts
say no word to each other, so any number of them may be at work, and a resume may choose another number.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from command.machine import count_cores
from contract import storage, store_errors
from launch.argv import module_argv
from launch.training.folder import begin, check_folder, is_trained, resume
from launch.training.pool import Job, Pool
from trainer.config import TrainConfig, parse_data
from trainer.parts.manifest import (
    PartsInfo,
    as_json,
    part_data,
    write_parts_info,
)
from trainer.parts.recalls import Expectation, expected_text, joined, joined_expectation
from trainer.plan.data_sets import open_data
from trainer.runs import names
from trainer.runs.json_files import write_json
from trainer.runs.ownership import RunLock
from trainer.runs.recalls import read_report, report_text


def train_parts(config: TrainConfig, *, gpus: Sequence[str], num_at_once: int, dry_run: bool) -> int:
    """Trains all parts that are not trained yet; exit code 0 if all are then, 128 + signal if one stopped it.

    Else the exit code of the parts that failed, where they agree, and 1 where they do not. `gpus` are named as
    CUDA_VISIBLE_DEVICES names them; there may be none.
    """
    run = Path(config.run)
    if dry_run:
        for part in range(config.parts):
            print(shlex.join(module_argv("trainer.train", part_config(config, part))))
        return 0
    data = open_data(config.data, limit=config.limit)
    check_folder(config, data)
    with RunLock(run) as lock:
        lock.take()
        info = resume(config, data) if config.resume else begin(config, data, lock)
        left = [part for part in range(config.parts) if not is_trained(config, info, part)]
        for part in left:
            info = info.with_run(part, state="waiting")
        progress = _Progress(run, msgspec.structs.replace(info, config=as_json(config)), copy_to=config.copy_to)
        jobs = [_job(config, part) for part in left]
        places = places_of(gpus, num=min(num_at_once, max(1, len(jobs))))
        pool = Pool(
            places,
            on_begin=lambda number: progress.set(left[number], state="training"),
            on_end=lambda number, code: progress.end(left[number], code),
        )
        print(
            f"{sum(each.records for each in info.runs):,} records in {config.parts} parts, {len(places)} at once;"
            f" {len(left)} to train",
            flush=True,
        )
        stopped_by = pool.run(jobs)
    if stopped_by is not None:
        print(f"stopped; go on with 'vitrine train --run {run} --resume'", file=sys.stderr)
        return 128 + stopped_by
    return _report(run, progress)


def places_of(gpus: Sequence[str], *, num: int) -> list[dict[str, str]]:
    """The environment of each of `num` trainings at once: a GPU, or an equal share of the cores."""
    if gpus:
        return [{"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} for place in range(num)]
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, count_cores() // num)))
    return [{"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": threads}] * num


def part_config(config: TrainConfig, part: int) -> TrainConfig:
    """The settings of the ordinary training of one part."""
    run = Path(config.run)
    weights = [text.removeprefix(parse_data(text)[0]) for text in config.data]  # ':0.7', or nothing
    roots = [part_data(run / names.PART_DATA, part, source) for source in range(len(config.data))]
    name = names.part_name(part)
    return replace(
        config,
        data=tuple(f"{root}{weight}" for root, weight in zip(roots, weights, strict=True)),
        run=str(run / name),
        copy_to=storage.join(config.copy_to, name) if config.copy_to else None,
        parts=1,
        limit=None,  # the records were limited before they were divided
        cache=None,  # its data lies on this machine
        cache_limit=TrainConfig.cache_limit,
    )


def _job(config: TrainConfig, part: int) -> Job:
    settings = part_config(config, part)
    has_begun = (Path(settings.run) / names.CONFIG).is_file()
    settings = replace(settings, resume=config.resume and has_begun)
    label = f"{names.part_name(part)} ({part + 1}/{config.parts})"
    return Job(label, module_argv("trainer.train", settings))


class _Progress:
    """RUN/parts.json while parts are trained, and its copy."""

    def __init__(self, run: Path, info: PartsInfo, *, copy_to: str | None) -> None:
        self.info = info
        self.codes: dict[int, int] = {}  # of the parts that failed
        self._run, self._copy_to = run, copy_to
        self._write()

    def set(self, part: int, **changes: Any) -> None:
        """Writes a change of one part."""
        self.info = self.info.with_run(part, **changes)
        self._write()

    def end(self, part: int, code: int) -> None:
        """Writes how the training of a part ended."""
        if code:
            self.codes[part] = code
            self.set(part, state="failed")
        else:
            run = self._run / self.info.runs[part].folder
            self.set(part, state="trained", recipe=_decided(run, self.info.config))

    def _write(self) -> None:
        write_parts_info(self._run, self.info)
        if self._copy_to:
            try:
                data = (self._run / names.PARTS).read_bytes()
                storage.write_bytes(storage.join(self._copy_to, names.PARTS), data)
            except store_errors.read_errors() as error:
                print(
                    f"warning: {names.PARTS} was not copied: {store_errors.reason_of(error, self._copy_to)}",
                    file=sys.stderr,
                )


def _decided(run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the user left open, as the training of a part decided them."""
    config = json.loads((run / names.CONFIG).read_bytes())["config"]
    return {name: value for name, value in config.items() if value is not None and given.get(name) is None}


def _report(run: Path, progress: _Progress) -> int:
    """Prints which parts are trained and which failed; the exit code."""
    failed, parts = sorted(progress.codes), progress.info.parts
    print(f"{parts - len(failed)} of {parts} parts are trained: {run / names.PARTS}", flush=True)
    if not failed:
        _report_recall(run, progress.info)
        return 0
    listed = ", ".join(names.part_name(part) for part in failed)
    print(
        f"error: {listed} failed, as the lines after these names say; mend that, then go on with 'vitrine train --run"
        f" {run} --resume'",
        file=sys.stderr,
    )
    codes = set(progress.codes.values())
    return codes.pop() if len(codes) == 1 else 1


def _report_recall(run: Path, info: PartsInfo) -> None:
    """Joins what the parts measured at their ends, where all of them did, and what was expected of them."""
    folders = [run / each.folder for each in info.runs]
    if not all((folder / name).is_file() for folder in folders for name in (names.RECALL, names.EXPECTATION)):
        return
    report = joined([read_report(folder) for folder in folders])
    write_json(run / names.RECALL, report)
    print(report_text(report), flush=True)
    parts = [msgspec.json.decode((each / names.EXPECTATION).read_bytes(), type=Expectation) for each in folders]
    whole = joined_expectation(parts, reached=report.seen.whole if report.seen else None)
    write_json(run / names.EXPECTATION, whole)
    print(expected_text(whole.expected), flush=True)
