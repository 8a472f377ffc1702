"""What can go wrong with a disk or a store that is written to."""

from collections.abc import Iterator
from contextlib import contextmanager

from contract import storage
from contract.errors import UserError


@contextmanager
def user_errors_of_writing(folder: str) -> Iterator[None]:
    """Raises a UserError that names the folder where the system refuses a write: no room, no permission, no disk."""
    try:
        yield
    except storage.read_errors() as error:
        raise UserError(
            f"cannot write to {folder}: {storage.reason_of(error, folder)};"
            " make room there or get permission and run again, or choose another output"
        ) from error
