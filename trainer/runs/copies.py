"""A run's copy in an object store: after each checkpoint it holds all that is needed to go on elsewhere."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contract import storage
from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.runs import names

_FIXED: Final = (names.CHECKPOINTS, names.BASE)  # their files never change; others are copied anew each time


def check_copy(config: TrainConfig) -> None:
    """UserError where the run could not be copied, or would be copied over another one; changes nothing else.

    With `overwrite`, the copy of an earlier run is deleted.
    """
    if config.copy_to is None:
        return
    with _user_errors(config.copy_to):
        storage.require_answer(config.copy_to)
        files = storage.list_files(config.copy_to)
        if names.CONFIG in files and not (config.resume or config.overwrite):
            raise UserError(
                f"{config.copy_to} holds a run already: give --resume to go on with it, --overwrite to replace it"
            )
        if config.overwrite:
            storage.delete_files(config.copy_to, [name for name in files if _is_of_runs(name)])
        elif _last_step(files) > _last_step(_files(Path(config.run))):
            raise UserError(
                f"{config.copy_to} is further than {config.run} (step {_last_step(files)}): go on from there, by"
                " --resume with another --run"
            )
        probe = storage.join(config.copy_to, ".probe")
        storage.write_bytes(probe, b"")
        storage.delete_files(config.copy_to, [".probe"])


def copy_run(run: Path, url: str) -> None:
    """Copies what has changed; UserError where the store does not take it."""
    with _user_errors(url):
        filesystem, root = storage.open_filesystem(url)
        present, here = set(storage.list_files(url)), _files(run)
        cut = [name for name in present - set(here) if _folder(name) == names.LEDGER]  # by a resume
        storage.delete_files(url, cut)
        new = [name for name in here if not (_folder(name) in _FIXED and name in present)]
        for name in sorted(new, key=lambda name: (_completed_step(name) is not None, name)):
            path = storage.join(root, name)
            if storage.is_local(filesystem):
                filesystem.makedirs(os.path.dirname(path), exist_ok=True)
            filesystem.put_file(str(run / name), path)


def try_to_copy(run: Path, url: str) -> None:
    """As `copy_run`, but says so where it fails: the next checkpoint brings the rest along."""
    try:
        copy_run(run, url)
    except UserError as error:
        print(f"warning: {error}; training goes on, and the next checkpoint tries again", file=sys.stderr, flush=True)


def fetch_run(url: str, run: Path) -> None:
    """Makes the run's folder of its copy, with the last whole checkpoint; does nothing where there is a folder."""
    if run.exists():
        return
    storage.require_answer(url)
    with _user_errors(url):
        files = [name for name in storage.list_files(url) if _is_of_runs(name)]
        if names.CONFIG not in files:
            raise UserError(f"nothing to resume: there is no run in {run}, and no copy of one in {url}")
        last = _last_step(files)
        filesystem, root = storage.open_filesystem(url)
        temporary = run.with_name(f".{run.name}.fetched.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        for name in files:
            if _folder(name) != names.CHECKPOINTS or _step(name) == last:
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(storage.join(root, name), str(temporary / name))
        os.replace(temporary, run)


def _last_step(files: Sequence[str]) -> int:
    """Of the last whole checkpoint among these files; 0 where there is none."""
    return max((_completed_step(name) or 0 for name in files), default=0)


def _files(run: Path) -> list[str]:
    """What belongs to the run, relative to its folder; nothing half written."""
    files = (path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    return sorted(name for name in files if _is_of_runs(name) and "/." not in name)


def _is_of_runs(name: str) -> bool:
    """Whether a run has such a file; never one outside its folder."""
    return _folder(name) in names.ALL and ".." not in name.split("/")


def _folder(name: str) -> str:
    return name.split("/")[0]


def _step(name: str) -> int | None:
    """Of the checkpoint to which this file belongs, if it belongs to one."""
    folder, *inner = name.split("/")
    return names.checkpoint_step(inner[0]) if folder == names.CHECKPOINTS and len(inner) > 1 else None


def _completed_step(name: str) -> int | None:
    """Of the checkpoint that is whole where this file is."""
    return _step(name) if name.endswith(f"/{names.CHECKPOINT_STATE}") else None


@contextmanager
def _user_errors(url: str) -> Iterator[None]:
    try:
        yield
    except storage.read_errors() as error:
        raise UserError(f"{url} is not to be used for a run's copy: {storage.reason_of(error, url)}") from error
