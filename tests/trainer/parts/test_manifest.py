"""RUN/parts.json: what a resume may not change, and what no other program may have written."""

from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.parts.manifest import PartRun, PartsInfo, as_json, changed_by, read_parts, trained_runs, write_parts_info
from trainer.runs import names

CONFIG = TrainConfig(data=("a:0.7", "b:0.3"), run="r", parts=2, lora_rank=8)


def parts_info(run: Path) -> PartsInfo:
    runs = [PartRun(names.part_name(part), 10) for part in range(2)]
    write_parts_info(run, PartsInfo(as_json(CONFIG), ["1", "2"], "seed", 2, runs))
    return read_parts(run)


def test_a_resume_may_change_what_changes_no_result(tmp_path: Path) -> None:
    info = parts_info(tmp_path)
    assert changed_by(info, CONFIG, ["1", "2"]) == []
    assert changed_by(info, replace(CONFIG, run="elsewhere", save_every=7, max_steps=5), ["1", "2"]) == []

    found = changed_by(info, replace(CONFIG, parts=3, lora_rank=16), ["1", "3"])
    assert found == [
        "parts was 2 and is 3",
        "lora_rank was 8 and is 16",
        "data sets was ['1', '2'] and is ['1', '3']",
    ]


def test_a_part_without_an_adapter_is_named(tmp_path: Path) -> None:
    parts_info(tmp_path)
    (tmp_path / "part-000" / names.ADAPTER).mkdir(parents=True)
    with pytest.raises(UserError, match="has no adapter for part-001: go on with --resume"):
        trained_runs(tmp_path)

    (tmp_path / "part-001" / names.ADAPTER).mkdir(parents=True)
    runs = trained_runs(tmp_path)
    assert [run.folder for run in runs] == [tmp_path / "part-000", tmp_path / "part-001"]
    assert runs[1].data == [str(tmp_path / "part-data" / "part-001" / source) for source in "01"]


@pytest.mark.parametrize(
    ("before", "after"), [('"parts": 2,', '"parts": 3,'), ("SHA-256", "MD5"), ('"runs"', '"adapters"'), ("{", "")]
)
def test_what_titles_would_be_misled_by_is_refused(tmp_path: Path, before: str, after: str) -> None:
    parts_info(tmp_path)
    path = tmp_path / names.PARTS
    head, _, tail = path.read_text().rpartition(before)
    path.write_text(head + after + tail)

    with pytest.raises(UserError, match=r"parts\.json was not written by this version"):
        read_parts(tmp_path)
