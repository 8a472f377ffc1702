"""Puts a file into an S3 store and makes its bucket if it is missing: catalogue.py FILE s3://bucket/name."""

import sys

from command.entry import exit_code
from contract import storage, store_errors
from contract.errors import UserError


def put(source: str, target: str) -> None:
    """Copies a local file to a URL; UserError if the store refuses."""
    try:
        filesystem, path = storage.open_promptly(target)
        filesystem.makedirs(path.partition("/")[0], exist_ok=True)
        filesystem.put_file(source, path)
    except store_errors.read_errors() as error:
        raise UserError(f"cannot put {source} to {target}: {store_errors.reason_of(error, target)}") from error


sys.exit(exit_code(lambda: put(*sys.argv[1:])))
