"""PackLoader over several processes: the same steps on any number of them, as many on each, and one end."""

import json
import multiprocessing
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from torch import distributed
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from contract.errors import UserError
from trainer.examples.encoder import Encoder
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Rank
from trainer.stream.packs import PackStream
from trainer.torch_stream.collate import collate
from trainer.torch_stream.dataset import PackDataset
from trainer.torch_stream.loader import PackLoader
from trainer.torch_stream.state import merge_states

PACKS_PER_BATCH = 12  # over all ranks
NUM_RECORDS = 300

Ledger = list[list[tuple[int, ...]]]  # rows of each pack of each batch


@pytest.fixture(autouse=True)
def _several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 records in 4 lanes of several blocks, and packs chosen from a few records, as in a large data set."""
    monkeypatch.setattr("trainer.plan.order.BLOCK_ROWS", 10)
    monkeypatch.setattr("trainer.stream.packs._AHEAD_TOKENS", 300)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # ranks and workers are forks


@pytest.fixture(name="make")
def _make(micro_base: Path, prepared) -> Callable[..., PackDataset]:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(micro_base)

    def make(rank: Rank, *, root: str = prepared.root, batch_size: int | None = None) -> PackDataset:
        size = batch_size or PACKS_PER_BATCH // rank.world
        encoder = Encoder(tokenizer, max_length=128)
        return PackDataset(PackStream((DataSet(root, prepared.manifest),), encoder, rank, seed=1), batch_size=size)

    return make


def on_ranks(work: Callable[[Rank], Any], *, world: int, folder: Path) -> list[Any]:
    """What `work` returns on each of so many processes that share a gloo group, or the text of its UserError."""
    folder.mkdir()
    fork = multiprocessing.get_context("fork")

    def run(index: int) -> None:
        distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=index, world_size=world)
        try:
            result = work(Rank(index, world))
        except UserError as error:
            result = str(error)
        (folder / f"{index}.json").write_text(json.dumps(result))
        distributed.destroy_process_group()

    processes = [fork.Process(target=run, args=(index,)) for index in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    alive = [process for process in processes if process.is_alive()]
    for process in alive:
        process.kill()
    assert not alive, "ranks hang"
    assert [process.exitcode for process in processes] == [0] * world
    return [json.loads((folder / f"{index}.json").read_text()) for index in range(world)]


def with_rows(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return collate(items) | {"rows": [item["position"].rows for item in items]}


def read(dataset: PackDataset, *, num_workers: int, epochs: int = 2, most: int = 1_000) -> tuple[Ledger, Any]:
    """The rows of at most so many batches, and the state after them."""
    loader, ledger = PackLoader(dataset, epochs=epochs, num_workers=num_workers, collate_fn=with_rows), []
    while dataset.cursor.epoch < epochs:
        for batch in loader:
            ledger.append(batch["rows"])
            if len(ledger) == most:
                return ledger, dataset.state_dict()
    return ledger, dataset.state_dict()


def go_on(make: Callable[..., PackDataset], state: dict[str, Any] | None, rank: Rank, **options: int) -> Any:
    dataset = make(rank)
    if state:
        dataset.load_state_dict(state)
    return read(dataset, **options)


def of_all_ranks(ledgers: Sequence[Ledger]) -> Ledger:
    """Batch by batch what all ranks learn in it. They have as many."""
    assert len({len(ledger) for ledger in ledgers}) == 1
    packs = [[tuple(rows) for rank in batch for rows in rank if rows] for batch in zip(*ledgers, strict=True)]
    return [sorted(batch) for batch in packs]


@pytest.fixture(name="alone")
def _alone(make) -> Ledger:
    """Two epochs on one rank without workers."""
    return of_all_ranks([read(make(Rank(0, 1)), num_workers=0)[0]])


@pytest.mark.parametrize(("world", "num_workers"), [(2, 0), (3, 1), (4, 2), (6, 0)])
def test_ranks_have_as_many_batches_and_these_hold_the_same_packs(make, alone, tmp_path, world, num_workers) -> None:
    results = on_ranks(lambda rank: read(make(rank), num_workers=num_workers), world=world, folder=tmp_path / "ranks")

    assert of_all_ranks([ledger for ledger, _ in results]) == alone
    assert Counter(row for batch in alone for pack in batch for row in pack) == dict.fromkeys(range(NUM_RECORDS), 2)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_goes_on_with_other_ranks_and_workers_after_any_batch(make, alone, tmp_path, seed: int) -> None:
    generator = random.Random(seed)
    ledger, state = [], None
    while len(ledger) < len(alone):
        world, num_workers, most = generator.choice([1, 2, 3, 4]), generator.choice([0, 2]), generator.randint(1, 9)

        work = partial(go_on, make, state, num_workers=num_workers, most=most)
        results = on_ranks(work, world=world, folder=tmp_path / f"ranks-{len(ledger)}")
        ledger += of_all_ranks([part for part, _ in results])
        state = merge_states([state for _, state in results])

    assert ledger == alone


def test_what_one_rank_cannot_read_stops_all_of_them(make, prepared, tmp_path) -> None:
    root = tmp_path / "data"
    shutil.copytree(prepared.root, root)
    shard = prepared.manifest.splits["train"][1].path
    (root / shard).unlink()

    def work(rank: Rank) -> Any:
        return read(make(rank, root=str(root) if rank.index == 1 else prepared.root), num_workers=0)

    told = on_ranks(work, world=2, folder=tmp_path / "ranks")
    assert told[0] == told[1]
    assert shard in told[0]


def test_a_rank_without_its_group_is_refused(make) -> None:
    with pytest.raises(UserError, match=r"rank 0 of 2, but torch\.distributed"):
        next(iter(PackLoader(make(Rank(0, 2)))))
