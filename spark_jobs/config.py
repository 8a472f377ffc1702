"""What a preparation can be told. Light on purpose: the command line reads it without starting anything."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from command.settings import setting
from contract.errors import UserError
from contract.text.profiles import PROFILES, find_profile
from spark_jobs.filters import Filters
from spark_jobs.input.fields import FieldNames

MIB: Final = 2**20
_CHANGE_THE_DATA: Final = (
    "title_field",
    "content_field",
    "id_field",
    "text_profile",
    "min_title_chars",
    "max_title_chars",
    "min_content_chars",
    "max_content_chars",
    "drop_repeated_titles",
    "drop_repeated_phrases",
    "languages",
    "near_duplicates",
    "val_share",
    "test_share",
    "seed",
    "shard_rows",
    "max_line_bytes",
)

_COUNT: Final = r"(\*|[1-9]\d*)"
_MASTER: Final = re.compile(
    rf"local|local\[{_COUNT}(, *[1-9]\d*)?\]|local-cluster\[.+\]|spark://[^,]+:\d+(,[^,]+:\d+)*|yarn|k8s://.+"
)

_HIDE_SECRETS: Final = "object stores find secrets in the environment, by profile or by role"
_SECRET: Final = re.compile(r"secret|password|token|access.?key|credential", re.IGNORECASE)

# What a profile filters where nothing else is said: `seed` keeps whatever can be learnt from, as it was described.
FILTERS_OF_PROFILE: Final = {
    "seed": Filters(),
    "natural": Filters(repeated_titles=True, repeated_phrases=True),
}


@dataclass(frozen=True)
class PrepareConfig:
    """Settings of one preparation, checked: UserError lists all that is wrong at once."""

    input: str = setting(
        help="catalogue: a file, a folder or a glob, or several with commas between; JSON lines (also .gz, .zst, .bz2),"
        " .csv, .tsv or .parquet; local or s3://, gs://, hdfs://"
    )
    output: str = setting(help="folder of the data set to make")
    title_field: str = setting("title", help="what the catalogue calls the title")
    content_field: str = setting("content", help="what it calls the description")
    id_field: str = setting("uid", help="what it calls the id; a record without one gets a hash of its text")
    text_profile: str = setting("seed", help=f"how texts are cleaned, and which are filtered: {', '.join(PROFILES)}")
    min_title_chars: int | None = setting(None, help="shorter cleaned titles are rejected as title_length")
    max_title_chars: int | None = setting(None, help="longer ones, too")
    min_content_chars: int | None = setting(None, help="shorter cleaned descriptions are rejected as content_length")
    max_content_chars: int | None = setting(None, help="longer ones, too")
    drop_repeated_titles: bool | None = setting(
        None, help="reject descriptions that only repeat the title, as repeats_title (profile natural: yes)"
    )
    drop_repeated_phrases: bool | None = setting(
        None, help="reject descriptions that are a phrase over and over, as repeated_phrase (profile natural: yes)"
    )
    languages: str | None = setting(
        None, help="keep only these, as in en,pt; others are rejected as language (needs the extra 'languages')"
    )
    near_duplicates: float | None = setting(
        None,
        help="of records whose words in runs of three agree by this share or more, as 0.8, keep one; the others are"
        " rejected as near_duplicate",
    )
    val_share: float = setting(0.01, help="share of the titles that go to val")
    test_share: float = setting(0.01, help="share of the titles that go to test")
    seed: int = setting(0, help="draws another split")
    shard_rows: int = setting(100_000, help="records in a shard; the last of a split holds what remains")
    max_line_bytes: int = setting(4 * MIB, help="longer lines are rejected as too_long")
    overwrite: bool = setting(False, help="replace a finished data set; it stays readable until the new one is whole")
    master: str = setting("local[*]", help="Spark master: local[N], spark://HOST:PORT, yarn, k8s://URL", also="on")
    conf: tuple[str, ...] | None = setting(None, help="setting of Spark's own as NAME=VALUE; several times for several")
    environment: str | None = setting(
        None, help="archive of the Python packages that a cluster's workers lack (docs/cluster.md makes one)"
    )
    partitions: int | None = setting(
        None,
        help="buckets of the shuffle, each of which a task holds in memory; by default one for 64 MiB of input,"
        " and never fewer than one for 512 MiB",
    )
    tokenizer: str | None = setting(
        None, help="tokenizer.json, or a folder that holds one, to count tokens with for the data card"
    )

    def __post_init__(self) -> None:
        problems = [
            f"{name} = {getattr(self, name)!r}, expected {expected}"
            for name, is_right, expected in self._checks()
            if not is_right
        ]
        names = [item.partition("=")[0] for item in self.conf or ()]
        problems += [f"conf {name} would be shown: {_HIDE_SECRETS}" for name in names if _SECRET.search(name)]
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
            *self._checks_of_filters(),
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
            (
                "conf",
                all(re.fullmatch(r"spark\.[\w.-]+=.*", item) for item in self.conf or ()),
                "settings of Spark's own, as in spark.executor.memory=4g",
            ),
            ("environment", not (self.environment and self.master.startswith("local")), "none on this machine"),
            ("partitions", self.partitions is None or 1 <= self.partitions <= 100_000, "from 1 to 100,000"),
        ]

    def _checks_of_filters(self) -> list[tuple[str, bool, str]]:
        names = (self.title_field, self.content_field, self.id_field)
        return [
            ("title_field", all(names) and len(set(names)) == 3, "three different names of fields"),
            *(
                (name, getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
                for name in ("min_title_chars", "max_title_chars", "min_content_chars", "max_content_chars")
            ),
            *(
                (
                    shortest,
                    None in (least := getattr(self, shortest), most := getattr(self, longest)) or least <= most,
                    f"at most {longest} = {most!r}",
                )
                for shortest, longest in (
                    ("min_title_chars", "max_title_chars"),
                    ("min_content_chars", "max_content_chars"),
                )
            ),
            (
                "languages",
                self.languages is None or bool(re.fullmatch(r"[a-z]{2,3}(,[a-z]{2,3})*", self.languages)),
                "codes of languages with commas between, as in en,pt",
            ),
            (
                "near_duplicates",
                self.near_duplicates is None or 0.5 <= self.near_duplicates <= 1,
                "a share from 0.5 to 1",
            ),
        ]

    def names(self) -> FieldNames:
        """What the catalogue calls the fields."""
        return FieldNames(uid=self.id_field, title=self.title_field, content=self.content_field)

    def filters(self) -> Filters:
        """The profile's filters, and over them what was said here."""
        said: dict[str, Any] = {
            "min_title_chars": self.min_title_chars,
            "max_title_chars": self.max_title_chars,
            "min_content_chars": self.min_content_chars,
            "max_content_chars": self.max_content_chars,
            "repeated_titles": self.drop_repeated_titles,
            "repeated_phrases": self.drop_repeated_phrases,
            "languages": tuple(self.languages.split(",")) if self.languages else None,
        }
        return replace(
            FILTERS_OF_PROFILE[self.text_profile], **{name: value for name, value in said.items() if value is not None}
        )

    def of_data(self) -> dict[str, Any]:
        """The settings that change what the data set holds, for its manifest: no paths, nothing of the machine."""
        return {name: getattr(self, name) for name in _CHANGE_THE_DATA}
