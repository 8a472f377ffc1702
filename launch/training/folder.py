"""The folder of a run in parts: what may be changed there, and the data of the parts."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from contract import storage
from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.parts.data import write_parts
from trainer.parts.manifest import PartRun, PartsInfo, as_json, changed_by, is_in_parts, read_parts, write_parts_info
from trainer.plan.data_sets import DataSet
from trainer.runs import names
from trainer.runs.copies import check_copy, delete_copy
from trainer.runs.ownership import RunLock, discard, discard_parts
from trainer.runs.settings import has_trained
from trainer.shards.cache import open_cache


def check_folder(config: TrainConfig, data: Sequence[DataSet]) -> None:
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


def begin(config: TrainConfig, data: Sequence[DataSet], lock: RunLock) -> PartsInfo:
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
    info = PartsInfo(as_json(config), ids, data[0].manifest.text_profile, config.parts, runs, folder=os.getcwd())
    write_parts_info(run, info)  # before anything that only a run in parts has
    _new_data(run).rename(run / names.PART_DATA)
    if config.copy_to and config.overwrite:
        delete_copy(config.copy_to)
    return info


def resume(config: TrainConfig, data: Sequence[DataSet]) -> PartsInfo:
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


def is_trained(config: TrainConfig, info: PartsInfo, part: int) -> bool:
    """Whether a part need not be trained again: its adapter is there, and no later setting asks for more of it."""
    now = as_json(config)
    is_same = all(info.config[name] == now[name] for name in ("max_steps", "skip_damaged"))
    run = Path(config.run) / info.runs[part].folder
    return is_same and info.runs[part].state == "trained" and (run / names.ADAPTER).is_dir()
