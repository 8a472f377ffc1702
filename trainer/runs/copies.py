"""The copy of a run in an object store: after each checkpoint it holds everything that a resume needs."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contract import storage, store_errors
from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.runs import names

_FIXED: Final = (names.CHECKPOINTS, names.BASE)  # their files never change; all others are copied again each time


def check_copy(config: TrainConfig) -> None:
    """Raises UserError if the run cannot be copied, or would be copied over another run. Changes nothing there."""
    if config.copy_to is None:
        return
    with _user_errors(config.copy_to):
        storage.require_answer(config.copy_to)
        files = storage.list_files(config.copy_to)
        if {names.CONFIG, names.PARTS} & set(files) and not (config.resume or config.overwrite):
            raise UserError(
                f"{config.copy_to} holds a run already: give --resume to go on with it, --overwrite to replace it"
            )
        if not config.overwrite and _last_step(files) > _last_step(_files(Path(config.run))):
            raise UserError(
                f"{config.copy_to} is further than {config.run} (step {_last_step(files)}): go on from there, by"
                " --resume with another --run"
            )
        storage.require_writable(config.copy_to)


def delete_copy(url: str) -> None:
    """Deletes the copy of an earlier run with all its parts, and no other file; UserError if the store refuses."""
    with _user_errors(url):
        files = storage.list_files(url)
        storage.delete_files(url, [name for name in files if _is_of_runs(name) or _is_of_parts(name)])


def copy_run(run: Path, url: str) -> None:
    """Copies the files that are new or may have changed; UserError if the store refuses."""
    with _user_errors(url):
        filesystem, root = storage.open_filesystem(url)
        copied, files = set(storage.list_files(url)), _files(run)
        cut = [name for name in copied - set(files) if _folder(name) == names.LEDGER]  # by a resume
        storage.delete_files(url, cut)
        new = [name for name in files if not (_folder(name) in _FIXED and name in copied)]
        for name in sorted(new, key=lambda name: (_step_of_last_file(name) is not None, name)):
            path = storage.join(root, name)
            if storage.is_local(filesystem):
                filesystem.makedirs(os.path.dirname(path), exist_ok=True)
            filesystem.put_file(str(run / name), path)


def try_to_copy(run: Path, url: str) -> None:
    """As `copy_run`, but only prints a warning if the store refuses: the next checkpoint copies the rest."""
    try:
        copy_run(run, url)
    except UserError as error:
        print(f"warning: {error}; training goes on, and the next checkpoint tries again", file=sys.stderr, flush=True)


def fetch_run(url: str, run: Path) -> None:
    """Fetches a run's copy with its last whole checkpoint, if the run has no folder on this machine.

    Of a run in parts, it fetches what each part has.
    """
    if run.exists():
        return
    storage.require_answer(url)
    with _user_errors(url):
        files = storage.list_files(url)
        if names.CONFIG not in files and names.PARTS not in files:
            raise UserError(f"nothing to resume: there is no run in {run}, and no copy of one in {url}")
        filesystem, root = storage.open_filesystem(url)
        temporary = names.temporary(run.with_name(f"{run.name}.fetched"))
        shutil.rmtree(temporary, ignore_errors=True)
        for name in _to_resume(files):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            filesystem.get_file(storage.join(root, name), str(temporary / name))
        os.replace(temporary, run)


def _to_resume(files: Sequence[str]) -> Iterator[str]:
    """The files of a run's copy that a resume needs: of checkpoints, those of the last whole one."""
    last = _last_step(files)
    for name in files:
        if name == names.PARTS or (_is_of_runs(name) and (_folder(name) != names.CHECKPOINTS or _step(name) == last)):
            yield name
    for part in sorted({_folder(name) for name in files if names.is_part(_folder(name))}):
        of_part = [name.removeprefix(f"{part}/") for name in files if _folder(name) == part]
        yield from (f"{part}/{name}" for name in _to_resume(of_part))


def _last_step(files: Sequence[str]) -> int:
    """The step of the last whole checkpoint among these files; 0 if there is none."""
    return max((_step_of_last_file(name) or 0 for name in files), default=0)


def _files(run: Path) -> list[str]:
    """The paths of the run's files, relative to its folder; no file that is half written."""
    files = (path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    return sorted(name for name in files if _is_of_runs(name) and "/." not in name)


def _is_of_runs(name: str) -> bool:
    """Whether a run writes files of this name, and the name does not lead out of its folder."""
    return _folder(name) in names.ALL and ".." not in name.split("/")


def _is_of_parts(name: str) -> bool:
    """As `_is_of_runs`, of a run in parts."""
    return names.is_of_parts(_folder(name)) and ".." not in name.split("/")


def _folder(name: str) -> str:
    return name.split("/")[0]


def _step(name: str) -> int | None:
    """The step of the checkpoint to which this file belongs, if it belongs to one."""
    folder, *inner = name.split("/")
    return names.checkpoint_step(inner[0]) if folder == names.CHECKPOINTS and len(inner) > 1 else None


def _step_of_last_file(name: str) -> int | None:
    """The step of a checkpoint, if this is the file that is copied last."""
    return _step(name) if name.endswith(f"/{names.CHECKPOINT_STATE}") else None


@contextmanager
def _user_errors(url: str) -> Iterator[None]:
    try:
        yield
    except store_errors.read_errors() as error:
        raise UserError(f"{url} cannot hold the copy of a run: {store_errors.reason_of(error, url)}") from error
