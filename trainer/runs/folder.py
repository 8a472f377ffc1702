"""The folder of a training run: what it holds, and what it remembers of how it was made."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from command.locked_files import try_lock
from contract import storage
from contract.errors import UserError
from trainer.config import TINY_BASE, TrainConfig
from trainer.plan.data_sets import DataSet
from trainer.runs import names
from trainer.runs.settings import nothing_to_resume, require_run
from trainer.stream.cursor import differences

_PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


@dataclass(frozen=True)
class RunInfo:
    """RUN/config.json: how a run was made, and what its answers need."""

    config: Mapping[str, Any]
    dataset_ids: list[str]
    text_profile: str
    versions: Mapping[str, str]
    identity: Mapping[str, Any] = field(default_factory=dict)  # what must not change; each checkpoint has it as well


def check_run(config: TrainConfig) -> None:
    """Changes nothing; UserError if this training would touch anything that it was not asked to touch.

    A run that has neither a checkpoint nor an adapter has nothing to lose: whoever wants its folder may have it.
    """
    run = Path(config.run)
    try:
        is_empty = not run.exists() or all(_is_left_over(path) for path in run.iterdir())
    except OSError as error:
        raise UserError(f"{run} cannot be the folder of a run: {error.strerror}") from error
    nearest = next(path for path in (run, *run.absolute().parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{run} cannot be the folder of a run: {nearest} is not to be written to")
    has_run = is_run(run)
    if config.resume and not has_run:
        raise nothing_to_resume(run)
    if has_run and _has_learnt(run) and not (config.resume or config.overwrite):
        raise UserError(f"{run} holds a run already: give --resume to go on with it, --overwrite to replace it")
    if not has_run and not is_empty:
        raise UserError(f"{run} is not empty and holds no run: give another folder")


def check_same(run: Path, identity: Mapping[str, Any]) -> None:
    """UserError names every difference to what a run without a checkpoint was begun with."""
    if different := differences(_load_info(run).identity, identity):
        raise UserError(f"{run} cannot be resumed: {'; '.join(different)}; leave out --resume to begin anew")


class RunLock:
    """Keeps other trainings out of a run's folder for as long as it is open, or until this process ends."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._descriptor: int | None = None

    def take(self, *, make_folder: bool = False) -> None:
        """Locks the folder, if there is one or it is to be made; UserError where another training has it locked."""
        if self._descriptor is not None:
            return
        try:
            if make_folder:
                self._run.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if make_folder:
                raise UserError(f"{self._run} cannot be the folder of a run: {error.strerror}") from error
            return
        if not try_lock(descriptor):
            os.close(descriptor)
            raise UserError(
                f"another training writes to {self._run}: wait for its end, or end it, its launcher's children too"
            )
        self._descriptor = descriptor

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def claim_run(
    config: TrainConfig, data: Sequence[DataSet], *, identity: Mapping[str, Any], new_base: Path | None
) -> None:
    """Makes the folder that of this training: deletes what an earlier run left, writes RUN/config.json.

    At whatever point it is killed, the folder is that of a run or empty to the next one. `new_base` is moved into it.
    """
    run = Path(config.run)
    run.mkdir(parents=True, exist_ok=True)
    if not config.resume:
        for name in names.ALL:
            if name != names.CONFIG:
                _discard(run / name)
    inner = [path for name in (names.CHECKPOINTS, names.LEDGER) for path in (run / name).glob(".*.tmp")]
    for path in (*filter(_is_left_over, run.iterdir()), *inner):
        _delete(path)
    info = RunInfo(
        asdict(config),
        [data_set.manifest.dataset_id for data_set in data],
        data[0].manifest.text_profile,
        {name: version(name) for name in _PACKAGES},
        identity,
    )
    storage.write_bytes(str(run / names.CONFIG), f"{json.dumps(asdict(info), indent=1)}\n".encode())
    if new_base:
        os.replace(new_base, run / names.BASE)


def _discard(path: Path) -> None:
    """Deletes it at once: what is half gone must not be taken for whole."""
    gone = path.with_name(f".{path.name}.tmp")
    if path.exists():
        _delete(gone)
        os.replace(path, gone)
        _delete(gone)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_left_over(path: Path) -> bool:
    """Whether a run that was killed left it half written or half deleted."""
    return path.name.endswith(".tmp") and path.name.startswith(tuple(f".{name}." for name in names.ALL))


def base_in_the_making(run: Path) -> Path:
    """Where a tiny base lies until the run's folder is claimed."""
    return run.with_name(f".{run.name}.base.tmp")


def _load_info(run: Path) -> RunInfo:
    return RunInfo(**json.loads((run / names.CONFIG).read_text()))


def is_run(run: Path) -> bool:
    """Whether this is the folder of a run, however far it got."""
    try:
        _load_info(run)
    except (OSError, ValueError, TypeError):
        return False
    return True


def _has_learnt(run: Path) -> bool:
    found = (path.name for path in (run / names.CHECKPOINTS).glob("*"))
    return (run / names.ADAPTER).exists() or any(names.checkpoint_step(name) is not None for name in found)


def read_info(run: Path) -> RunInfo:
    """What a run remembers; UserError where there is no run, or it did not get as far as an adapter."""
    require_run(run)
    try:
        info = _load_info(run)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{run / names.CONFIG} is not of a run of this version: {error}") from error
    if not (run / names.ADAPTER).is_dir():
        raise UserError(f"{run} has no adapter: its training did not finish; go on with it by --resume")
    return info


def base_of(run: Path, base: str) -> str:
    """Where the run's base lies: the tiny base beside the adapter, any other where the user said."""
    return str(run / names.BASE) if base == TINY_BASE else base
