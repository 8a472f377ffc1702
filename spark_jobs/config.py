"""The settings of a preparation. This module is light: the command line imports it without starting anything."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from command.settings import check_settings, given_settings, load_settings, setting, settings_of_result
from contract.errors import UserError
from contract.manifest import Manifest, read_manifest
from contract.text.profiles import PROFILES, find_profile
from spark_jobs.filters import Filters
from spark_jobs.input.encodings import require_encoding
from spark_jobs.input.fields import NO_MARK, FieldNames, ReadOptions
from spark_jobs.input.formats import COMPRESSIONS, SUFFIXES

_MIB: Final = 2**20
_COUNT: Final = r"(\*|[1-9]\d*)"
_MASTER: Final = (
    rf"local|local\[{_COUNT}(, *[1-9]\d*)?\]|local-cluster\[.+\]|spark://[^,]+:\d+(,[^,]+:\d+)*|yarn|k8s://.+"
)
_MARK: Final = rf"{NO_MARK}|[!-/:-@\[-`{{-~]"
_EDITION: Final = "text_profile_edition"
_SECRET: Final = re.compile(r"secret|password|token|access.?key|credential", re.IGNORECASE)


@dataclass(frozen=True)
class PrepareConfig:
    """Settings of one preparation, checked: UserError lists all that is wrong at once."""

    input: str = setting(
        help="catalogue: a file, a folder or a glob, or several with commas between; JSON lines, JSON arrays,"
        f" {', '.join(SUFFIXES)}, also compressed ({', '.join(row.suffix for row in COMPRESSIONS)}); local or s3://,"
        " gs://, hdfs://",
        changes="nothing",
        matching="(?s).+",
        expected="the path of a catalogue",
    )
    output: str = setting(
        help="folder for the data set", changes="nothing", matching="(?s).+", expected="the path of a folder"
    )
    title_field: str = setting(
        "title",
        help="name of the field that holds the title: name.pt is the field pt below name, and brand,name joins two",
    )
    content_field: str = setting(
        "content", help="name of the field that holds the description, or names: feature,description joins the two"
    )
    id_field: str = setting(
        "uid", help="name of the field that holds the id; a record without one gets a hash of its text as its id"
    )
    encoding: str | None = setting(
        None,
        help="encoding of files that begin with no byte order mark: cp1252, utf-16, shift_jis, … (default: UTF-8)",
    )
    quote: str | None = setting(
        None,
        help="character around values in CSV files; none where quotation marks are characters like any other (default:"
        ' none where tabs are between the values, else ")',
        matching=_MARK,
        expected="a sign of ASCII, or none",
    )
    escape: str | None = setting(
        None,
        help="character before a quotation mark within a value in CSV files, besides its doubling; or none (default:"
        " what the start of a file shows)",
        matching=_MARK,
        expected="a sign of ASCII, or none",
    )
    columns: str | None = setting(
        None, help="names of the columns of CSV files whose first row is a product already, as in id,name,description"
    )
    text_profile: str = setting(
        "seed", help=f"rules for cleaning texts, with the profile's own filters: {', '.join(PROFILES)}"
    )
    min_title_chars: int | None = setting(
        None, help="reject shorter cleaned titles; the reason is title_length", least=1
    )
    max_title_chars: int | None = setting(
        None, help="reject longer cleaned titles; the reason is title_length", least=1
    )
    min_content_chars: int | None = setting(
        None, help="reject shorter cleaned descriptions; the reason is content_length", least=1
    )
    max_content_chars: int | None = setting(
        None, help="reject longer cleaned descriptions; the reason is content_length", least=1
    )
    drop_repeated_titles: bool | None = setting(
        None, help="reject descriptions that only repeat the title, as repeats_title (the profile sets the default)"
    )
    drop_repeated_phrases: bool | None = setting(
        None, help="reject descriptions that repeat a few phrases, as repeated_phrase (the profile sets the default)"
    )
    languages: str | None = setting(
        None,
        help="keep records in these languages only, such as en,pt; others are rejected as language (needs the extra"
        " 'languages')",
        matching="[a-z]{2,3}(,[a-z]{2,3})*",
        expected="codes of languages with commas between, as in en,pt",
    )
    near_duplicates: float | None = setting(
        None,
        help="two records of this similarity or more are near duplicates: the share, such as 0.8, of three-word"
        " sequences that both contain; one record of a group is kept, the others are rejected as near_duplicate",
        least=0.5,
        most=1,
    )
    val_share: float = setting(0.01, help="share of the titles that go to val", least=0, below=1)
    test_share: float = setting(0.01, help="share of the titles that go to test", least=0, below=1)
    seed: int = setting(0, help="another seed gives another split", least=0, most=2**64 - 1)
    shard_rows: int = setting(
        100_000, help="records in a shard; the last of a split holds what remains", least=1, most=2**31 - 1
    )
    max_line_bytes: int = setting(
        4 * _MIB, help="reject longer lines; the reason is too_long", least=1, most=256 * _MIB
    )
    max_unreadable: float = setting(
        0.5,
        help="share of the lines from which no fields can be read (too_long, not_utf8, not_json, not_a_record); where"
        " there are more, the preparation ends with an error, as the input is no catalogue then",
        changes="nothing",
        least=0,
        most=1,
    )
    overwrite: bool = setting(
        False,
        help="replace a finished data set; it stays readable until the new one is whole",
        changes="nothing",
    )
    append: str | None = setting(
        None,
        help="in place of input: new files whose lines are added to the finished data set in the output folder, with"
        " its settings; the old lines are not read again",
        changes="nothing",
        matching="(?s).+",
        expected="the path of new files",
    )
    master: str = setting(
        "local[*]",
        help="Spark master: local[N], spark://HOST:PORT, yarn, k8s://URL",
        also="on",
        changes="nothing",
        matching=_MASTER,
        expected="local, local[N] or local[*], spark://HOST:PORT, yarn, k8s://URL",
    )
    conf: tuple[str, ...] | None = setting(
        None,
        help="setting of Spark's own as NAME=VALUE; several times for several",
        changes="nothing",
        matching=r"spark\.[\w.-]+=.*",
        expected="settings of Spark's own, as in spark.executor.memory=4g",
    )
    environment: str | None = setting(
        None,
        help="archive of the Python packages that a cluster's workers lack; docs/cluster.md shows how to make one",
        changes="nothing",
    )
    partitions: int | None = setting(
        None,
        help="buckets of the shuffle; a task holds one bucket in memory (default: one for each 64 MiB of input); a"
        " number that is too small is raised to one for each 512 MiB",
        changes="nothing",
        least=1,
        most=100_000,
    )
    tokenizer: str | None = setting(
        None,
        help="tokenizer.json, or a folder that holds one; the data card then counts tokens, too",
        changes="nothing",
    )

    def __post_init__(self) -> None:
        check_settings(self, *self._problems())

    def _problems(self) -> list[str]:
        """What is wrong with settings taken together, or with one in a way that no range can say."""
        names, secrets = self.field_names(), [name for name in self.spark_conf() if _SECRET.search(name)]
        problems = [
            f"conf {name} would be shown: object stores find secrets in the environment, by profile or by role"
            for name in secrets
        ]
        if not all(names) or len(set(names)) < len(names):
            problems.append(
                f"title_field, content_field, id_field = {self.title_field!r}, {self.content_field!r},"
                f" {self.id_field!r}, expected three different names of fields"
            )
        for kind in ("title", "content"):
            least, most = getattr(self, f"min_{kind}_chars"), getattr(self, f"max_{kind}_chars")
            if None not in (least, most) and least > most:
                problems.append(f"min_{kind}_chars = {least!r}, expected at most max_{kind}_chars = {most!r}")
        if self.append is not None and self.input != self.append:
            problems.append(f"input = {self.input!r} and append = {self.append!r}, expected one of the two")
        if self.append is not None and self.overwrite:
            problems.append("append and overwrite, expected one of the two: an append keeps what is there")
        if self.val_share + self.test_share >= 1:
            problems.append(
                f"val_share + test_share = {self.val_share + self.test_share}, expected a sum below 1, or nothing is"
                " left to train on"
            )
        if self.environment and self.master.startswith("local"):
            problems.append(f"environment = {self.environment!r}, expected none on this machine")
        for require, name in ((find_profile, self.text_profile), (require_encoding, self.encoding)):
            try:
                require(name) if name is not None else None
            except UserError as error:
                problems.append(str(error))
        return problems

    def spark_conf(self) -> dict[str, str]:
        """Spark's own settings, by name."""
        return {name: value for name, _, value in (item.partition("=") for item in self.conf or ())}

    def field_names(self) -> FieldNames:
        """The catalogue's names of the fields."""
        return FieldNames(uid=self.id_field, title=self.title_field, content=self.content_field)

    def read_options(self) -> ReadOptions:
        """What the settings say of the input files."""
        return ReadOptions(
            self.field_names(),
            max_line_bytes=self.max_line_bytes,
            encoding=self.encoding,
            quote=self.quote,
            escape=self.escape,
            columns=tuple(next(csv.reader([self.columns]))) if self.columns else None,
        )

    def filters(self) -> Filters:
        """The filters of the profile; a setting of the same name, where it is given, takes its place."""
        settings = {field.name: getattr(self, field.name) for field in fields(Filters)}
        given = {name: value for name, value in settings.items() if value is not None}
        return Filters(**{**find_profile(self.text_profile).filters, **given})


def load_prepare(*, file: str | None, overrides: Mapping[str, Any]) -> PrepareConfig:
    """The settings of a preparation. Those of an append are the data set's own; UserError where others are given."""
    given = given_settings(file=file, overrides=overrides)
    match given:
        case {"append": str(append), "output": str(output)}:
            manifest = read_manifest(output)
            of_data_set = {
                name: value for name, value in manifest.config.items() if value is not None and name != _EDITION
            }
            earlier = {"input": append} | of_data_set
            config = load_settings(PrepareConfig, file=file, overrides=overrides, earlier=earlier)
            require_same_settings(config, manifest)
            return config
        case {"append": str(append)}:
            return load_settings(PrepareConfig, file=file, overrides=overrides, earlier={"input": append})
    return load_settings(PrepareConfig, file=file, overrides=overrides)


def settings_of_data_set(config: PrepareConfig) -> dict[str, Any]:
    """The settings, by name, that decide what the data set holds, and the edition of the text profile."""
    edition = find_profile(config.text_profile).edition
    return settings_of_result(config) | ({_EDITION: edition} if edition > 1 else {})


def require_same_settings(config: PrepareConfig, manifest: Manifest) -> None:
    """UserError that says which settings of an append are not those of the data set."""
    asked, found = settings_of_data_set(config), manifest.config
    editions = found.get(_EDITION, 1), asked.pop(_EDITION, 1)
    if found.get("text_profile") == config.text_profile and editions[0] != editions[1]:
        raise UserError(
            f"{config.output} was cleaned by edition {editions[0]} of the profile {config.text_profile}, and this"
            f" version has edition {editions[1]}, which keeps other signs; prepare all lines again, with --overwrite"
        )
    changes = [
        f"{name} was {found.get(name)!r} and is {asked[name]!r}" for name in asked if asked[name] != found.get(name)
    ]
    if changes:
        raise UserError(
            f"{config.output} was prepared otherwise, and appended lines need the same settings: {'; '.join(changes)};"
            " leave these settings out, or prepare all lines again, with --overwrite"
        )
