"""RUN/parts.json: how a catalogue is divided, which folder has the run of each part, and how far it is.

Titles find their adapter by it: `contract.keys.part_of(title, parts)` is an index of `runs`.
"""

from collections.abc import Sequence
from dataclasses import MISSING, asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from command.settings import settings_fields, settings_of_result
from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.runs import names
from trainer.runs.json_files import write_json
from trainer.stream.cursor import differences

RULE: Final = "part = (first 8 bytes of the SHA-256 of the cleaned title in UTF-8, as a big-endian number) modulo parts"
State = Literal["waiting", "training", "failed", "trained"]


class PartRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The run of one part."""

    folder: str  # below RUN: a run like any other, with its adapter in FOLDER/adapter
    records: int  # to train on
    state: State = "waiting"
    recipe: dict[str, Any] = {}  # of a trained part: what followed from its number of records


class PartsInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run in parts."""

    config: dict[str, Any]  # as the user gave it
    dataset_ids: list[str]
    text_profile: str
    parts: Annotated[int, msgspec.Meta(ge=1)]
    runs: list[PartRun]  # by number of the part
    rule: str = RULE
    folder: str = ""  # in which the training was started
    format: str = "vitrine-parts/1"

    def __post_init__(self) -> None:
        """ValueError where the number of runs is not that of parts, or titles are divided by another rule."""
        if len(self.runs) != self.parts or self.rule != RULE:
            raise ValueError(
                f"Expected {self.parts} runs and the rule {RULE!r}, got {len(self.runs)} and {self.rule!r}"
            )

    def with_run(self, part: int, **changes: Any) -> "PartsInfo":
        """This record with a change of one part's run."""
        run = msgspec.structs.replace(self.runs[part], **changes)
        return msgspec.structs.replace(self, runs=[*self.runs[:part], run, *self.runs[part + 1 :]])


def part_data(folder: Path, part: int, source: int) -> Path:
    """The folder of the part's records of data set number `source`, below that of the data of all parts."""
    return folder / names.part_name(part) / str(source)


def is_in_parts(run: Path) -> bool:
    """Whether this is the folder of a run in parts."""
    return (run / names.PARTS).is_file()


def is_part_of_run(run: Path) -> bool:
    """Whether this is the folder of a part, in that of a run in parts."""
    return names.is_part(run.name) and is_in_parts(run.parent)


def whole_run(run: Path) -> Path:
    """The folder by which a user resumes this run: that of all parts, if it is one of them."""
    return run.parent if is_part_of_run(run) else run


def read_parts(run: Path) -> PartsInfo:
    """RUN/parts.json; UserError where it is not as this version writes it."""
    path = run / names.PARTS
    try:
        return msgspec.json.decode(path.read_bytes(), type=PartsInfo)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{path} was not written by this version: {error}") from error


class TrainedRun(NamedTuple):
    """A run with an adapter: a whole one, or that of a part."""

    folder: Path
    data: Sequence[str] | None  # where its data sets are now; None if they are where they were


def trained_runs(run: Path, *, data: Sequence[str] | None = None) -> list[TrainedRun]:
    """The run, with its data sets where the user says that they are; of a run in parts, the runs of all parts.

    UserError where a part is not trained, or `data` is given for a run in parts.
    """
    if not is_in_parts(run):
        return [TrainedRun(run, data)]
    info = read_parts(run)
    if data:
        raise UserError(f"data: {run} is a run in parts, and the data set of each part lies in {run / names.PART_DATA}")
    if left := [each.folder for each in info.runs if not (run / each.folder / names.ADAPTER).is_dir()]:
        raise UserError(f"{run} has no adapter for {', '.join(left)}: go on with --resume, or give the run of one part")
    sources = range(len(info.config["data"]))
    return [
        TrainedRun(run / each.folder, [str(part_data(run / names.PART_DATA, part, source)) for source in sources])
        for part, each in enumerate(info.runs)
    ]


def write_parts_info(run: Path, info: PartsInfo) -> None:
    """Writes RUN/parts.json, whole or not at all."""
    write_json(run / names.PARTS, info)


def changed_by(info: PartsInfo, config: TrainConfig, dataset_ids: list[str]) -> list[str]:
    """The settings and data sets with which a run in parts cannot be resumed, in words."""
    defaults = {field.name: field.default for field in settings_fields(TrainConfig) if field.default is not MISSING}
    now = msgspec.to_builtins(settings_of_result(config))  # lists for tuples, as in the file
    found = differences(info.config, now, defaults=msgspec.to_builtins(defaults))
    if info.dataset_ids != dataset_ids:
        found.append(f"data sets was {info.dataset_ids!r} and is {dataset_ids!r}")
    return found


def as_json(config: TrainConfig) -> dict[str, Any]:
    """Settings as `PartsInfo.config` keeps them."""
    return msgspec.to_builtins(asdict(config))
