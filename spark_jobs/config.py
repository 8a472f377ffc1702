"""What a preparation can be told. Light on purpose: the command line reads it without starting anything."""

import re
from dataclasses import dataclass
from typing import Any, Final

from contract.errors import UserError
from contract.settings import setting
from contract.text import PROFILES, find_profile

MIB: Final = 2**20
_CHANGE_THE_DATA: Final = ("text_profile", "val_share", "test_share", "seed", "shard_rows", "max_line_bytes")

_COUNT: Final = r"(\*|[1-9]\d*)"
_MASTER: Final = re.compile(
    rf"local|local\[{_COUNT}(, *[1-9]\d*)?\]|local-cluster\[.+\]|spark://[^,]+:\d+(,[^,]+:\d+)*|yarn|k8s://.+"
)


@dataclass(frozen=True)
class PrepareConfig:
    """Settings of one preparation, checked: UserError lists all that is wrong at once."""

    input: str = setting(
        help="catalogue of JSON lines: a file, a folder or a glob; local or s3://, gs://, hdfs://; .gz too"
    )
    output: str = setting(help="folder of the data set to make")
    text_profile: str = setting("seed", help=f"how texts are cleaned: {', '.join(PROFILES)}")
    val_share: float = setting(0.01, help="share of the titles that go to val")
    test_share: float = setting(0.01, help="share of the titles that go to test")
    seed: int = setting(0, help="draws another split")
    shard_rows: int = setting(100_000, help="records in a shard; the last of a split holds what remains")
    max_line_bytes: int = setting(4 * MIB, help="longer lines are rejected as too_long")
    overwrite: bool = setting(False, help="replace a finished data set; it stays readable until the new one is whole")
    master: str = setting("local[*]", help="Spark master: local[N], spark://, yarn, k8s://")
    partitions: int | None = setting(
        None,
        help="buckets of the shuffle, each of which a task holds in memory; by default one for 64 MiB of input,"
        " and never fewer than one for 512 MiB",
    )

    def __post_init__(self) -> None:
        problems = [
            f"{name} = {getattr(self, name)!r}, expected {expected}"
            for name, is_right, expected in self._checks()
            if not is_right
        ]
        try:
            find_profile(self.text_profile)
        except UserError as error:
            problems.append(str(error))
        if problems:
            raise UserError("; ".join(problems))

    def _checks(self) -> list[tuple[str, bool, str]]:
        return [
            ("input", bool(self.input), "the path of a catalogue"),
            ("output", bool(self.output), "the path of a folder"),
            ("val_share", 0 <= self.val_share < 1, "a share from 0 to below 1"),
            ("test_share", 0 <= self.test_share < 1, "a share from 0 to below 1"),
            (
                "test_share",
                self.val_share + self.test_share < 1,
                "val_share + test_share below 1, or nothing is left to learn",
            ),
            ("seed", 0 <= self.seed < 2**64, "a whole number from 0 to 2^64 - 1"),
            ("shard_rows", self.shard_rows >= 1, "at least 1"),
            ("max_line_bytes", 1 <= self.max_line_bytes <= 256 * MIB, "from 1 to 256 MiB"),
            (
                "master",
                bool(_MASTER.fullmatch(self.master)),
                "local, local[N] or local[*], spark://HOST:PORT, yarn, k8s://URL",
            ),
            ("partitions", self.partitions is None or self.partitions >= 1, "at least 1"),
        ]

    def of_data(self) -> dict[str, Any]:
        """The settings that change what the data set holds, for its manifest: no paths, nothing of the machine."""
        return {name: getattr(self, name) for name in _CHANGE_THE_DATA}
