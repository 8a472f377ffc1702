"""Takes a folder for one training, and deletes what an earlier one left there. Imports nothing heavy."""

import os
import shutil
from pathlib import Path

from command.locked_files import try_lock
from contract.errors import UserError
from trainer.runs import names


class RunLock:
    """Keeps other trainings out of a folder while this object is open, at most until this process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def take(self, *, make_folder: bool = False) -> None:
        """Locks the folder; UserError if another training has locked it.

        A folder that does not exist is made first, or else stays unlocked.
        """
        if self._descriptor is not None:
            return
        try:
            if make_folder:
                self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if make_folder:
                raise UserError(f"{self._folder} cannot be the folder of a run: {error.strerror}") from error
            return
        if not try_lock(descriptor):
            os.close(descriptor)
            raise UserError(
                f"another training writes to {self._folder}: wait until it has ended, or end it together with the"
                " processes that it started"
            )
        self._descriptor = descriptor

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def discard(path: Path) -> None:
    """Deletes a file or folder, which loses its name first: a kill leaves nothing half deleted under that name."""
    unnamed = names.temporary(path)
    if path.exists():
        delete(unnamed)
        os.replace(path, unnamed)
        delete(unnamed)


def delete(path: Path) -> None:
    """Deletes a file or folder that has lost its name, or never had one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard_parts(run: Path) -> None:
    """Deletes a run in parts, if there is one; last what it knows of them, so that a kill leaves one to be deleted."""
    if not (run / names.PARTS).exists():
        return
    for path in sorted(run.iterdir(), key=lambda path: (path.name == names.PARTS, path.name)):
        if names.is_of_parts(path.name):
            discard(path)
