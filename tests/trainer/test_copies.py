"""What a run's copy in a store may bring back."""

from pathlib import Path

import fsspec

from trainer.copies import fetch_run


def test_a_copy_writes_nothing_outside_the_run_s_folder_and_nothing_that_is_no_run_s(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    step = "checkpoints/step-000005/state.json"
    for name in ("config.json", step, "checkpoints/../../evil", "notes.txt", ".profile"):
        store.pipe_file(f"/{tmp_path.name}/{name}", b"{}")

    fetch_run(f"memory://{tmp_path.name}", tmp_path / "runs" / "run")

    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == [f"runs/run/{step}", "runs/run/config.json"]
