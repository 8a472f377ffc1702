"""The counts behind the data card as a file of the data set, so that later lines can be added to them."""

import hashlib

import msgspec

from contract import storage
from contract.appends import StatisticsFile
from contract.errors import UserError
from contract.names import statistics_path
from spark_jobs.counts.records import KeptStatistics, ReadStatistics


class Statistics(msgspec.Struct, frozen=True):
    """What was counted, and how: lines that are added later are counted in the same way."""

    read: ReadStatistics
    kept: KeptStatistics
    one_in: int  # characters and tokens were counted in one record of this many
    tokenizer: str = ""  # the sha256 of its tokenizer.json; empty where no tokens were counted


def tokenizer_digest(text: str | None) -> str:
    """What `Statistics` says of a tokenizer with this text; None for no tokenizer."""
    return hashlib.sha256(text.encode()).hexdigest() if text is not None else ""


def write_statistics(statistics: Statistics, *, output: str) -> StatisticsFile:
    """Writes them beside the shards under a name of their own. They count once a manifest names the file."""
    data = msgspec.json.encode(statistics) + b"\n"
    sha256 = hashlib.sha256(data).hexdigest()
    file = StatisticsFile(statistics_path(sha256), len(data), sha256)
    storage.write_bytes(storage.join(output, file.path), data)
    return file


def read_statistics(file: StatisticsFile, *, output: str) -> Statistics:
    """The statistics that the manifest names; UserError where the file is missing or damaged."""
    url = storage.join(output, file.path)
    data = storage.read_checked(url, sha256=file.sha256, restore="restore it, or prepare all again")
    try:
        return msgspec.json.decode(data, type=Statistics)
    except ValueError as error:
        raise UserError(f"{url} is of another version: {error}; prepare all lines again, with --overwrite") from error
