"""Training from a real object store, and back to it: the losses of a local disk, to the last bit."""

import shutil
from pathlib import Path

import pytest

from contract import storage
from contract.errors import UserError
from tests.cluster.store import BUCKET, Store
from tests.conftest import Prepared
from tests.trainer.launches import launch
from trainer.config import TrainConfig
from trainer.runs.copies import check_copy, copy_run, delete_copy, fetch_run
from trainer.runs.metrics import read_metrics

pytestmark = [pytest.mark.s3, pytest.mark.slow]

SETTINGS = (
    "--recipe",
    "seed",
    "--max-length",
    "128",
    "--tokens-per-step",
    "512",
    "--epochs",
    "2",
    "--save-every",
    "5",
    "--seed",
    "3",
)


def train(run: Path, base: Path, data: str, *options: str, store: Store) -> list[tuple[float, float]]:
    """Losses and gradient norms of a training on two ranks."""
    arguments = ["train", "--data", data, "--base", str(base), *SETTINGS, *options]
    training = launch("launch.cli", *arguments, run=run, num_processes=2, **store.environment())
    assert training.finish() == 0, training.text()
    return curve(run)


def curve(run: Path) -> list[tuple[float, float]]:
    return [(step["loss"], step["grad_norm"]) for step in read_metrics(run)]


def test_from_a_store_directly_or_through_a_cache_losses_are_those_of_a_disk(
    store: Store, prepared: Prepared, micro_base: Path, tmp_path: Path
) -> None:
    data, copy = f"s3://{BUCKET}/prepared", f"s3a://{BUCKET}/runs/first"
    store.client().put(f"{prepared.root}/", f"{BUCKET}/prepared/", recursive=True)

    local = train(tmp_path / "local", micro_base, prepared.root, store=store)
    assert train(tmp_path / "run", micro_base, data, "--copy-to", copy, store=store) == local
    shutil.rmtree(tmp_path / "run")  # all that is left of it is in the store, its last checkpoint not whole
    client, folder = store.client(), f"{BUCKET}/runs/first"
    *_, last = sorted(client.glob(f"{folder}/checkpoints/*/state.json"))
    client.rm(last)
    cache = ("--cache", str(tmp_path / "cache"))
    assert train(tmp_path / "run", micro_base, data, "--copy-to", copy, "--resume", *cache, store=store) == local
    assert list((tmp_path / "cache").rglob("*.parquet"))
    assert client.exists(last)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in kept if store.owner.secret.encode() in path.read_bytes()]
    weights = Path("adapter/adapter_model.safetensors")
    assert client.cat_file(f"{folder}/{weights}") == (tmp_path / "local" / weights).read_bytes()


@pytest.fixture(name="copied")
def _copied(as_owner: None, tmp_path: Path) -> str:  # noqa: ARG001  # only has to come first
    """The URL of a copy with checkpoints at steps 5 and 10, made by this process."""
    url = f"s3://{BUCKET}/runs/{tmp_path.name}"
    copy_run(make_run(tmp_path / "made", steps=(5, 10)), url)
    return url


def make_run(run: Path, *, steps: tuple[int, ...]) -> Path:
    names = [f"checkpoints/step-{step:06d}/{name}" for step in steps for name in ("optimizer.pt", "state.json")]
    for name in ("config.json", "metrics.jsonl", "ledger/from-00000001.jsonl", *names):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    return run


def test_of_a_copy_the_last_whole_checkpoint_is_fetched(copied: str, tmp_path: Path) -> None:
    fetch_run(copied, tmp_path / "run")
    found = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    last = {f"checkpoints/step-000010/{name}" for name in ("optimizer.pt", "state.json")}
    assert found == {"config.json", "metrics.jsonl", "ledger/from-00000001.jsonl", *last}


def test_a_copy_is_not_written_over_unasked(copied: str, tmp_path: Path) -> None:
    settings = {"data": ("d",), "run": str(tmp_path / "other"), "copy_to": copied}
    with pytest.raises(UserError, match="holds a run already"):
        check_copy(TrainConfig(**settings))
    behind = make_run(tmp_path / "behind", steps=(5,))
    with pytest.raises(UserError, match=r"is further than .*behind \(step 10\)"):
        check_copy(TrainConfig(**settings | {"run": str(behind)}, resume=True))
    check_copy(TrainConfig(**settings | {"run": str(tmp_path / "made")}, resume=True))
    storage.write_bytes(f"{copied}/notes.txt", b"mine")
    check_copy(TrainConfig(**settings, overwrite=True))
    assert len(storage.list_files(copied)) > 1  # a command that is refused later has deleted nothing
    delete_copy(copied)
    assert storage.list_files(copied) == ["notes.txt"]


def test_what_a_resume_has_cut_leaves_the_copy_too(copied: str, tmp_path: Path) -> None:
    (tmp_path / "made" / "ledger" / "from-00000001.jsonl").unlink()
    copy_run(tmp_path / "made", copied)
    assert not [name for name in storage.list_files(copied) if name.startswith("ledger/")]


@pytest.mark.usefixtures("copied")
def test_a_bucket_that_takes_no_copy_is_told_at_once(tmp_path: Path) -> None:
    config = TrainConfig(data=("d",), run=str(tmp_path / "run"), copy_to="s3://no-such-bucket/run")
    with pytest.raises(UserError, match="there is no bucket no-such-bucket"):
        check_copy(config)
