"""A run's copy in a store, and what it may bring back."""

from pathlib import Path

import fsspec
import pytest

from trainer.runs import names
from trainer.runs.copies import copy_run, fetch_run


def test_a_copy_writes_nothing_outside_the_run_s_folder_and_nothing_that_is_no_run_s(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    step = "checkpoints/step-000005/state.json"
    for name in ("config.json", step, "checkpoints/../../evil", "notes.txt", ".profile"):
        store.pipe_file(f"/{tmp_path.name}/{name}", b"{}")

    fetch_run(f"memory://{tmp_path.name}", tmp_path / "runs" / "run")

    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == [f"runs/run/{step}", "runs/run/config.json"]


def test_a_copy_may_lie_in_a_folder_that_machines_share(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "shared" / "copy"
    present = ["adapter/adapter_model.safetensors", "checkpoints/step-000005/state.json", "config.json"]
    for name in present:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)

    copy_run(run, str(copy))
    assert {name: (copy / name).read_text() for name in present} == {name: name for name in present}

    fetch_run(str(copy), tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / present[1]).read_text() == present[1]


def test_what_makes_a_checkpoint_whole_is_copied_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, copied = tmp_path / "run", []
    present = [
        "adapter/adapter_model.safetensors",
        "checkpoints/step-000005/state.json",
        "config.json",
        "ledger/from-1",
    ]
    for name in (*present, "checkpoints/step-000005/zzz.bin"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    store = fsspec.filesystem("memory")
    monkeypatch.setattr(type(store), "put_file", lambda _, source, __: copied.append(Path(source).name))

    copy_run(run, f"memory://{tmp_path.name}")

    assert len(copied) == 5
    assert copied[-1] == names.CHECKPOINT_STATE
