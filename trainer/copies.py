"""A run's copy in an object store: after each checkpoint it holds all that is needed to go on elsewhere."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contract import storage
from contract.errors import UserError
from trainer.config import CONFIG_NAME, TrainConfig

_LEDGER: Final = "ledger"
# Their files never change; others are written anew each time.
_FIXED: Final = re.compile(r"(checkpoints|base)/.+")
_CHECKPOINT: Final = re.compile(r"checkpoints/step-(\d+)/.+")
_COMPLETES: Final = re.compile(r"checkpoints/step-(\d+)/state\.json")  # written last, it makes a checkpoint whole
_OF_RUNS: Final = re.compile(r"(checkpoints|base|adapter|ledger)/.+|[a-z]+\.jsonl?")


def check_copy(config: TrainConfig) -> None:
    """UserError where the run could not be copied, or would be copied over another one; changes nothing else.

    With `overwrite`, the copy of an earlier run is deleted.
    """
    if config.copy_to is None:
        return
    with _user_errors(config.copy_to):
        storage.require_answer(config.copy_to)
        names = storage.list_files(config.copy_to)
        if CONFIG_NAME in names and not (config.resume or config.overwrite):
            raise UserError(
                f"{config.copy_to} holds a run already: give --resume to go on with it, --overwrite to replace it"
            )
        if config.overwrite:
            storage.delete_files(config.copy_to, [name for name in names if _OF_RUNS.fullmatch(name)])
        elif _last_step(names) > _last_step(_files(Path(config.run))):
            raise UserError(
                f"{config.copy_to} is further than {config.run} (step {_last_step(names)}): go on from there, by"
                " --resume with another --run"
            )
        probe = storage.join(config.copy_to, ".probe")
        storage.write_bytes(probe, b"")
        storage.delete_files(config.copy_to, [".probe"])


def copy_run(run: Path, url: str) -> None:
    """Copies what has changed; UserError where the store does not take it."""
    with _user_errors(url):
        filesystem, root = storage.open_filesystem(url)
        present = set(storage.list_files(url))
        names = [name for name in _files(run) if not (_FIXED.fullmatch(name) and name in present)]
        gone = [name for name in present - set(_files(run)) if name.startswith(f"{_LEDGER}/")]  # cut by a resume
        storage.delete_files(url, gone)
        for name in sorted(names, key=lambda name: (_COMPLETES.fullmatch(name) is not None, name)):
            filesystem.put_file(str(run / name), storage.join(root, name))


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
        names = [name for name in storage.list_files(url) if _OF_RUNS.fullmatch(name) and ".." not in name.split("/")]
        if CONFIG_NAME not in names:
            raise UserError(f"nothing to resume: there is no run in {run}, and no copy of one in {url}")
        last = _last_step(names)
        filesystem, root = storage.open_filesystem(url)
        temporary = run.with_name(f".{run.name}.fetched.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        for name in names:
            found = _CHECKPOINT.fullmatch(name)
            if found is None or int(found[1]) == last:
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(storage.join(root, name), str(temporary / name))
        os.replace(temporary, run)


def _last_step(names: Sequence[str]) -> int:
    """Of the last whole checkpoint among these files; 0 where there is none."""
    return max((int(found[1]) for name in names if (found := _COMPLETES.fullmatch(name))), default=0)


def _files(run: Path) -> list[str]:
    """What belongs to the run, relative to its folder; nothing half written."""
    names = (path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    return sorted(name for name in names if _OF_RUNS.fullmatch(name) and "/." not in name)


@contextmanager
def _user_errors(url: str) -> Iterator[None]:
    try:
        yield
    except storage.read_errors() as error:
        raise UserError(f"{url} is not to be used for a run's copy: {storage.reason_of(error, url)}") from error
