"""The folder of a training run: what it holds, and what it keeps of how the run was started."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from contract import storage
from contract.errors import UserError
from trainer.bases.cache import folder_of
from trainer.bases.digest import weights_digest
from trainer.config import TINY_BASE, TrainConfig
from trainer.examples.prompt import Frame
from trainer.examples.wordings import TITLE, wordings_of_run
from trainer.plan.data_sets import DataSet
from trainer.runs import names
from trainer.runs.json_files import write_json
from trainer.runs.ownership import delete, discard, discard_parts
from trainer.runs.settings import (
    BASE_WEIGHTS,
    changed_settings,
    has_trained,
    raise_nothing_to_resume,
    require_run,
    with_data_found,
)

_PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


class RunInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """RUN/config.json: how a run was started, and what its answers need."""

    config: dict[str, Any]
    dataset_ids: list[str]
    text_profile: str
    versions: dict[str, str]
    identity: dict[str, Any] = {}  # what a resume must agree on; each checkpoint has it as well
    frame: Frame | None = None  # of every question; `frame_of` finds that of an older run
    folder: str = ""  # in which the training was started; its relative paths of data count from there


def check_run(config: TrainConfig) -> None:
    """Raises UserError if RUN holds anything that neither --resume nor --overwrite allows us to change. Read-only.

    A run that has neither a checkpoint nor an adapter has nothing to lose: any training may take its folder.
    """
    run = Path(config.run)
    try:
        is_empty = not run.exists() or all(names.is_left_over(path.name) for path in run.iterdir())
    except OSError as error:
        raise UserError(f"{run} cannot be the folder of a run: {error.strerror}") from error
    storage.require_writable(str(run))
    has_run = is_run(run)
    if config.resume and not has_run:
        raise_nothing_to_resume(run)
    if has_run and has_trained(run) and not (config.resume or config.overwrite):
        raise UserError(f"{run} holds a run already: give --resume to go on with it, --overwrite to replace it")
    if (run / names.PARTS).exists() and not config.overwrite:
        raise UserError(f"{run} holds a run in parts: give another folder, or --overwrite to replace it")
    if not has_run and not is_empty and not (run / names.PARTS).exists():
        raise UserError(f"{run} is not empty and holds no run: give another folder")


def check_same(run: Path, identity: Mapping[str, Any]) -> None:
    """Raises UserError that names every difference to the settings with which a run without checkpoint was started."""
    if different := changed_settings(_load_info(run).identity, identity):
        raise UserError(f"{run} cannot be resumed: {'; '.join(different)}; leave out --resume to begin anew")


def claim_run(
    config: TrainConfig,
    data: Sequence[DataSet],
    *,
    identity: Mapping[str, Any],
    frame: Frame,
    new_base: Path | None,
) -> None:
    """Makes RUN the folder of this training: deletes what an earlier run left, writes config.json, moves `new_base` in.

    After a kill at any point, the next training finds a run or an empty folder.
    """
    run = Path(config.run)
    run.mkdir(parents=True, exist_ok=True)
    if not config.resume:
        for name in names.ALL:
            if name != names.CONFIG:
                discard(run / name)
        discard_parts(run)
    inner = [path for name in (names.CHECKPOINTS, names.LEDGER) for path in (run / name).glob(".*.tmp")]
    for path in (*(path for path in run.iterdir() if names.is_left_over(path.name)), *inner):
        delete(path)
    info = RunInfo(
        config=asdict(config),
        dataset_ids=[data_set.manifest.dataset_id for data_set in data],
        text_profile=data[0].manifest.text_profile,
        versions={name: version(name) for name in _PACKAGES},
        identity=dict(identity),
        frame=frame,
        folder=os.getcwd(),
    )
    write_json(run / names.CONFIG, info)
    if new_base:
        os.replace(new_base, run / names.BASE)


def temporary_base(run: Path) -> Path:
    """The path of a tiny base until its run's folder is claimed."""
    return names.temporary(run.with_name(f"{run.name}.base"))


def _load_info(run: Path) -> RunInfo:
    """OSError or msgspec.DecodeError if there is no such file, or it is not as `claim_run` writes it."""
    info = msgspec.json.decode((run / names.CONFIG).read_bytes(), type=RunInfo)
    return msgspec.structs.replace(info, config=with_data_found(info.config, info.folder))


def is_run(run: Path) -> bool:
    """Whether this is the folder of a run, however far it got."""
    try:
        _load_info(run)
    except (OSError, msgspec.DecodeError):
        return False
    return True


def frame_of(info: RunInfo) -> Frame | None:
    """The frame in which a run asks its questions; None of an older run that trained a whole prompt as its wording.

    An older run kept the prompt of its first question for the title "TITLE", from which the frame follows.
    """
    if info.frame or "prompt form" not in info.identity:
        return info.frame
    first = wordings_of_run(info.identity)[0]
    title = "TITLE".lower() if first.is_lower else "TITLE"
    before, question, after = info.identity["prompt form"].partition(first.question.replace(TITLE, title))
    return Frame(before, after) if question and not first.is_prompt else None


def kept_frame(run: Path) -> Frame | None:
    """The frame of the run in this folder, however far it got; None if there is no run."""
    try:
        return frame_of(_load_info(run))
    except (OSError, msgspec.DecodeError):
        return None


def saved_base(base: str) -> str:
    """The base as an adapter names it: the absolute path of a folder, or the name on the hub."""
    return os.path.abspath(base) if os.path.isdir(base) else base


def read_info(run: Path) -> RunInfo:
    """RUN/config.json of a run that has an adapter; UserError if there is no run, or no adapter yet."""
    require_run(run)
    try:
        info = _load_info(run)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{run / names.CONFIG} was not written by this version: {error}") from error
    if not (run / names.ADAPTER).is_dir():
        raise UserError(f"{run} has no adapter: its training did not finish; go on with it by --resume")
    return info


def base_of(run: Path, base: str) -> str:
    """The folder or hub name of the run's base: a tiny base is in the run's folder, a GGUF file in the user's cache."""
    return str(run / names.BASE) if base == TINY_BASE else folder_of(base)


def check_base(run: Path, info: RunInfo, base: str) -> None:
    """Raises UserError if the weights of this folder or hub name are not those that the run was trained on."""
    before, now = info.identity.get(BASE_WEIGHTS), weights_digest(base)
    if before is not None and before != now:
        raise UserError(
            f"{run} was trained on a base whose weights have the digest {before}, and {info.config['base']!r} has"
            f" {now} now: ask it on the base that it was trained on"
        )
