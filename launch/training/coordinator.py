"""`vitrine train --parts K`: divides the catalogue, trains each part alone, and keeps RUN/parts.json up to date.

The training of a part is an ordinary one, in a process of its own, with a GPU of its own where there are some. Parts
say no word to each other, so any number of them may be at work, and a resume may choose another number.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from command.machine import count_cores
from contract import storage
from contract.errors import UserError
from launch.argv import module_argv
from launch.training.pool import Job, Pool
from trainer.config import TrainConfig, parse_data
from trainer.parts.data import part_data, write_parts
from trainer.parts.manifest import PartRun, PartsInfo, as_json, changed_by, is_in_parts, read_parts, write_parts_info
from trainer.plan.data_sets import DataSet, open_data
from trainer.runs import names
from trainer.runs.copies import check_copy, delete_copy
from trainer.runs.ownership import RunLock, discard, discard_parts
from trainer.runs.settings import has_trained
from trainer.shards.cache import open_cache


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
    _check(config, data)
    with RunLock(run) as lock:
        lock.take()
        info = _resumed(config, data) if config.resume else _begun(config, data, lock)
        left = [part for part in range(config.parts) if not _is_trained(config, info, part)]
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


def _check(config: TrainConfig, data: Sequence[DataSet]) -> None:
    """Raises UserError where RUN holds what neither --resume nor --overwrite allows us to change. Changes nothing."""
    run = Path(config.run)
    try:
        found = [path.name for path in run.iterdir()] if run.exists() else []
    except OSError as error:
        raise UserError(f"{run} cannot be the folder of a run: {error.strerror}") from error
    storage.require_writable(str(run))
    check_copy(config)
    if config.resume:
        if not is_in_parts(run):
            raise UserError(f"{run} holds no run in parts: leave out --parts to resume it, or --resume to begin one")
        info = read_parts(run)
        if different := changed_by(info, config, [each.manifest.dataset_id for each in data]):
            raise UserError(f"{run} cannot be resumed: {'; '.join(different)}")
        return
    runs = (run, *(run / name for name in found if names.is_part(name)))
    if any(map(has_trained, runs)) and not config.overwrite:
        raise UserError(f"{run} holds a run already: give --resume to go on with it, --overwrite to replace it")
    known = {names.CONFIG, names.PARTS} & set(found)
    if not known and not all(names.is_left_over(name) for name in found):
        raise UserError(f"{run} is not empty and holds no run: give another folder")


def _begun(config: TrainConfig, data: Sequence[DataSet], lock: RunLock) -> PartsInfo:
    """Makes RUN the folder of this training in parts, in place of what an earlier one left there."""
    run, is_new = Path(config.run), not Path(config.run).exists()
    lock.take(make_folder=True)
    try:
        records = _divide(config, data)  # an earlier run stays as it is until this has succeeded
    except BaseException:
        if is_new:
            run.rmdir()
        raise
    for name in names.ALL:
        discard(run / name)
    discard_parts(run)
    runs = [PartRun(names.part_name(part), num) for part, num in enumerate(records)]
    ids = [each.manifest.dataset_id for each in data]
    info = PartsInfo(as_json(config), ids, data[0].manifest.text_profile, config.parts, runs)
    write_parts_info(run, info)  # before anything that only a run in parts has
    _new_data(run).rename(run / names.PART_DATA)
    if config.copy_to and config.overwrite:
        delete_copy(config.copy_to)
    return info


def _resumed(config: TrainConfig, data: Sequence[DataSet]) -> PartsInfo:
    """What RUN knows of its parts; their data is divided again where it is not on this machine."""
    run = Path(config.run)
    info = read_parts(run)
    if not (run / names.PART_DATA).is_dir():
        records = _divide(config, data)
        if records != [each.records for each in info.runs]:
            raise UserError(
                f"{run} cannot be resumed: its parts had {[each.records for each in info.runs]} records and"
                f" would have {records}; were some of them skipped as damaged?"
            )
        _new_data(run).rename(run / names.PART_DATA)
    return info


def _new_data(run: Path) -> Path:
    """The data of the parts until all of it is written; not the name that it gets when it is deleted."""
    return names.temporary(run / f"{names.PART_DATA}.new")


def _divide(config: TrainConfig, data: Sequence[DataSet]) -> list[int]:
    """Writes the data sets of the parts into a temporary folder of RUN, whole or not at all; the records of each."""
    folder = _new_data(Path(config.run))
    shutil.rmtree(folder, ignore_errors=True)
    try:
        manifests = write_parts(
            data, folder, parts=config.parts, skip_damaged=config.skip_damaged, cache=open_cache(config, tuple(data))
        )
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise UserError(f"the data of the parts could not be written to {config.run}: {error}") from error
        raise
    splits = [each.split for each in data]
    return [sum(each.num_rows(split) for each, split in zip(of_part, splits, strict=True)) for of_part in manifests]


def _is_trained(config: TrainConfig, info: PartsInfo, part: int) -> bool:
    """Whether a part need not be trained again: its adapter is there, and no later setting asks for more of it."""
    now = as_json(config)
    is_same = all(info.config[name] == now[name] for name in ("max_steps", "skip_damaged"))
    run = Path(config.run) / info.runs[part].folder
    return is_same and info.runs[part].state == "trained" and (run / names.ADAPTER).is_dir()


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
            except storage.read_errors() as error:
                print(
                    f"warning: {names.PARTS} was not copied: {storage.reason_of(error, self._copy_to)}", file=sys.stderr
                )


def _decided(run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the user left open, as the training of a part decided them."""
    config = json.loads((run / names.CONFIG).read_text())["config"]
    return {name: value for name, value in config.items() if value is not None and given.get(name) is None}


def _report(run: Path, progress: _Progress) -> int:
    """Prints which parts are trained and which failed; the exit code."""
    failed, parts = sorted(progress.codes), progress.info.parts
    print(f"{parts - len(failed)} of {parts} parts are trained: {run / names.PARTS}", flush=True)
    if not failed:
        return 0
    listed = ", ".join(names.part_name(part) for part in failed)
    print(
        f"error: {listed} failed, as the lines after these names say; mend that, then go on with 'vitrine train --run"
        f" {run} --resume'",
        file=sys.stderr,
    )
    codes = set(progress.codes.values())
    return codes.pop() if len(codes) == 1 else 1
