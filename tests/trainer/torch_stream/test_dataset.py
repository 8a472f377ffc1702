"""The stream as a torch data set: the packs of our own loop, whoever reads them, with how many workers."""

import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorWithFlattening, PreTrainedTokenizerBase

from contract.errors import UserError
from trainer.engines.base import answer_loss
from trainer.examples.encoder import Encoder, Pack, Record
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Rank
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream
from trainer.torch_stream.collate import collate, collate_for_flash
from trainer.torch_stream.dataset import PackDataset
from trainer.torch_stream.loader import PackLoader
from trainer.torch_stream.state import merge_states
from trainer.torch_stream.workers import PackPosition

Taken = tuple[int, tuple[int, ...]]  # a pack's number, its rows

ALONE = Rank(0, 1)
NUM_RECORDS = 300


@pytest.fixture(autouse=True)
def _several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 records in 4 lanes of several blocks, and packs chosen from a few records, as in a large data set."""
    monkeypatch.setattr("trainer.plan.order.BLOCK_ROWS", 10)
    monkeypatch.setattr("trainer.stream.packs._AHEAD_TOKENS", 300)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # workers are forks


@pytest.fixture(name="tokenizer", scope="module")
def _tokenizer(micro_base: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(micro_base)


@pytest.fixture(name="make")
def _make(tokenizer: PreTrainedTokenizerBase, prepared):
    def make(
        rank: Rank = ALONE, *, max_length: int = 128, batch_size: int = 1, data=None, **options: Any
    ) -> PackDataset:
        data = (DataSet(prepared.root, prepared.manifest),) if data is None else tuple(data)
        encoder = Encoder(tokenizer, max_length=max_length)
        return PackDataset(PackStream(data, encoder, rank, **{"seed": 1} | options), batch_size=batch_size)

    return make


def by_items(dataset: PackDataset, *, num_workers: int) -> Iterator[Taken]:
    """What a DataLoader of single packs gives, empty ones left out, each trained before the next is requested."""
    for item in DataLoader(dataset, batch_size=None, num_workers=num_workers):
        dataset.trained([item["position"]])
        if item["position"].rows:
            yield item["position"].pack, item["position"].rows


def by_batches(dataset: PackDataset, *, num_workers: int) -> Iterator[Taken]:
    for batch in DataLoader(dataset, batch_size=dataset.batch_size, num_workers=num_workers, collate_fn=collate):
        dataset.trained(batch["positions"])
        yield from ((position.pack, position.rows) for position in batch["positions"] if position.rows)


def by_loader(dataset: PackDataset, *, num_workers: int) -> Iterator[list[int]]:
    """The tokens of every batch of an epoch."""
    for batch in PackLoader(dataset, num_workers=num_workers, epochs=dataset.cursor.epoch + 1):
        assert batch.keys() == {"input_ids", "labels", "position_ids"}
        yield batch["input_ids"].flatten().tolist()


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_record_comes_once_in_the_order_of_the_stream(make, world: int, num_workers: int) -> None:
    stream = make()._stream
    for epoch in (0, 1):
        steps = list(zip(stream.epoch(Cursor.start(epoch)), range(300), strict=False))
        expected = [(number, tuple(each.row for each in step.packs[0].examples)) for step, number in steps]
        ranks = []
        for index in range(world):
            dataset = make(Rank(index, world))
            dataset.set_epoch(epoch)
            ranks.append(list(by_items(dataset, num_workers=num_workers)))

        assert all(taken == sorted(taken) for taken in ranks)
        assert sorted(chain(*ranks)) == [pack for pack in expected if pack[1]]
        assert Counter(row for taken in ranks for _, rows in taken for row in rows) == Counter(range(NUM_RECORDS))


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6, 8, 12, 16, 24, 48])
def test_any_number_of_ranks_shares_the_packs(make, world: int) -> None:
    ranks = [list(by_items(make(Rank(index, world)), num_workers=0)) for index in range(world)]

    assert sorted(chain(*ranks)) == list(by_items(make(), num_workers=0))
    assert all(number % world == index for index, taken in enumerate(ranks) for number, _ in taken)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("world", [2])
def test_batches_are_the_same_for_any_number_of_workers(make, world: int, batch_size: int, num_workers: int) -> None:
    rank = Rank(world - 1, world)
    alone = list(by_batches(make(rank, batch_size=batch_size), num_workers=0))

    assert alone == list(by_items(make(rank), num_workers=0))
    assert list(by_batches(make(rank, batch_size=batch_size), num_workers=num_workers)) == alone


@pytest.mark.parametrize("num_workers", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_pack_loader_gives_the_same_batches_epoch_after_epoch(make, batch_size: int, num_workers: int) -> None:
    dataset, other = make(batch_size=batch_size), make(batch_size=batch_size)
    for epoch in (0, 1, 2):
        assert dataset.cursor.epoch == epoch
        batches = list(by_loader(dataset, num_workers=num_workers))
        assert batches == list(by_loader(other, num_workers=0))


def test_an_epoch_of_a_pack_loader_has_whole_steps_and_the_last_one_is_the_last(make) -> None:
    loader = PackLoader(make(), epochs=2, batches_per_step=8)
    epochs = [list(loader) for _ in range(4)]

    assert [len(batches) % 8 for batches in epochs] == [0] * 4
    assert [bool(batches) for batches in epochs] == [True, True, False, False]
    assert epochs[0][-1]["labels"].eq(-100).all()  # it was filled up


@pytest.mark.parametrize("seed", range(4))
def test_a_state_resumes_on_any_number_of_ranks_and_workers(make, seed: int) -> None:
    generator = random.Random(seed)
    whole = list(by_items(make(), num_workers=0))
    taken, state = [], None
    while len(taken) < len(whole):
        world, states, first = generator.choice([1, 2, 3, 4]), [], len(taken)
        rounds = generator.randint(2, 15)
        for index in range(world):
            dataset = make(Rank(index, world))
            if state is not None:
                dataset.load_state_dict(state)
            end = dataset.cursor.packs + rounds * world
            loader = DataLoader(dataset, batch_size=None, num_workers=generator.choice([0, 0, 2, 3]))
            for item in loader:
                if item["position"].pack >= end:
                    break
                dataset.trained([item["position"]])
                if item["position"].rows:
                    taken.append((item["position"].pack, item["position"].rows))
            dataset.trained([dataset.empty(_last_before(end, dataset.rank))["position"]] * (dataset.cursor.packs < end))
            states.append(json.loads(json.dumps(dataset.state_dict())))
        state = merge_states(states)
        assert taken[:first] == whole[:first]
        assert state["cursor"]["records"] == sum(len(rows) for _, rows in taken)
        taken.sort()

    assert taken == whole


def _last_before(end: int, rank: Rank) -> PackPosition:
    return PackPosition(0, rank.first_pack(end) - rank.world)


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
def test_torchdata_resumes_it_by_the_states_of_its_workers(make, num_workers: int) -> None:
    options = {"batch_size": None, "num_workers": num_workers}
    whole = [item["position"].pack for item in StatefulDataLoader(make(), **options)]
    for stop in (1, 4, len(whole) - 3):
        loader = StatefulDataLoader(make(), **options)
        packs = [item["position"].pack for _, item in zip(range(stop), loader, strict=False)]
        state = json.loads(json.dumps(loader.state_dict()))
        loader = StatefulDataLoader(make(), **options)
        loader.load_state_dict(state)

        assert packs + [item["position"].pack for item in loader] == whole


def test_torchdata_resumes_an_epoch_also_after_one_that_was_reported(make) -> None:
    dataset = make()
    list(by_items(dataset, num_workers=0))
    dataset.set_epoch(1)
    loader = StatefulDataLoader(dataset, batch_size=None, num_workers=2)
    packs = [item["position"].pack for _, item in zip(range(4), loader, strict=False)]
    state = json.loads(json.dumps(loader.state_dict()))
    dataset = make()
    dataset.set_epoch(1)
    loader = StatefulDataLoader(dataset, batch_size=None, num_workers=2)
    loader.load_state_dict(state)
    packs += [item["position"].pack for item in loader]

    assert packs == sorted(set(packs))


def test_a_state_that_does_not_know_a_setting_has_its_default(make, prepared) -> None:
    """As one of an older version, from before that setting."""
    state = make(seed=0).state_dict()
    for name in ("seed", "splits", "weights", "limits"):
        del state["identity"][name]

    make(seed=0).load_state_dict(state)
    with pytest.raises(UserError, match=r"resumed: seed was 0 and is 1$"):
        make(seed=1).load_state_dict(state)
    with pytest.raises(UserError, match=r"resumed: limits was \[None\] and is \[7\]$"):
        make(seed=0, data=[DataSet(prepared.root, prepared.manifest, limit=7)]).load_state_dict(state)
    del state["identity"]["max_length"]
    with pytest.raises(UserError, match=r"resumed: max_length was None and is 128$"):
        make(seed=0).load_state_dict(state)


def test_a_state_of_other_data_text_window_or_seed_is_refused(make, other_prepared) -> None:
    dataset = make()
    state = dataset.state_dict()
    other = [DataSet(other_prepared.root, other_prepared.manifest)]

    for different, name in (
        (make(data=other), "data sets was .* and is"),
        (make(max_length=64), "max_length was 128 and is 64"),
        (make(seed=2), "seed was 1 and is 2"),
    ):
        with pytest.raises(UserError, match=name):
            different.load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"max_length": 1},
            r"max_length = 1, expected an integer of at least \d\d: the tokens of this base's longest",
        ),
        ({"max_length": 0}, "max_length = 0, expected an integer of at least"),
        ({"max_length": 128.0}, r"max_length = 128\.0, expected an integer"),
        ({"batch_size": 0}, "batch_size = 0, expected an integer of at least 1"),
        ({"batch_size": -2}, "batch_size = -2, expected an integer of at least 1"),
        (
            {"seed": -1, "rank": Rank(2, 2)},
            "seed = -1, expected an integer from 0 .*; rank = 2 of 2, expected one from 0",
        ),
        ({"seed": 2**63}, "seed = .*, expected an integer from 0 to below"),
        ({"data": ["folder"]}, r"data = \('folder',\), expected what trainer.plan.data_sets.open_data gives"),
        ({"data": []}, r"data = \(\), expected what"),
    ],
)
def test_values_out_of_range_are_refused_before_anything_is_read(make, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make(**changes)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 0}, "epochs = 0, expected None or an integer of at least 1"),
        ({"batches_per_step": 0}, "batches_per_step = 0, expected"),
        ({"drop_last": True}, "drop_last = True, expected False"),
        ({"persistent_workers": True, "batch_size": 4}, "batch_size = 4, .*PackDataset; persistent_workers = True"),
    ],
)
def test_options_that_would_lose_records_are_refused(make, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PackLoader(make(), **options)


def test_the_least_window_learns_something_of_a_short_title(make, tokenizer) -> None:
    with pytest.raises(UserError) as raised:
        make(max_length=2)
    least = int(re.search(r"at least (\d+)", str(raised.value))[1])
    with pytest.raises(UserError):
        make(max_length=least - 1)

    encoder = Encoder(tokenizer, max_length=least)
    (example,) = encoder.encode_as([Record(0, "a", "steel")], encoder.longest_wording)
    assert len(example.ids) - example.num_prompt == 1


def changed_state(make, **changes: Any) -> dict[str, Any]:
    state = json.loads(json.dumps(make().state_dict())) | changes
    return {name: value for name, value in state.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": ...}, "has format None, expected 1: it is of another version"),
        ({"format": 2, "new": 3}, "has format 2, expected 1"),
        ({"format": True}, r"Expected `int`, got `bool` - at `\$.format`"),
        ({"cursor": ...}, "is not what state_dict.* gave: Object missing required field `cursor`"),
        ({"identity": ...}, "missing required field `identity`"),
        ({"records_before": ...}, "missing required field `records_before`"),
        ({"rank": ...}, "missing required field `rank`"),
        ({"worker": ...}, "missing required field `worker`"),
        ({"rank": "0"}, r"Expected `array`, got `str` - at `\$.rank`"),
        ({"rank": [1, 1]}, "Expected `rank` below 1, got 1"),
        ({"rank": [-1, 1]}, r"Expected `int` >= 0 - at `\$.rank\[0\]`"),
        ({"identity": None}, r"Expected `object`, got `null` - at `\$.identity`"),
        ({"worker": [0, 1]}, r"Expected `array` of length 3, got 2 - at `\$.worker`"),
        ({"worker": [2, 2, 0]}, "Expected `worker` below 2, got 2"),
        ({"records_before": -1}, r"Expected `int` >= 0 - at `\$.records_before`"),
        ({"positions": 3}, "unknown field `positions`"),
        ({"cursor": [1, 2]}, r"Expected `object`, got `array` - at `\$.cursor`"),
        ({"records_before": 7}, r"records = 0, expected from 7 \(records_before\) to 300"),
    ],
)
def test_what_is_no_state_is_refused_by_what_is_wrong_with_it(make, changes: dict[str, Any], told: str) -> None:
    check_refused(make, changed_state(make, **changes), told=told)


def check_refused(make, state: dict[str, Any], *, told: str) -> None:
    dataset = make()
    with pytest.raises(ValueError, match=told):
        dataset.load_state_dict(state)
    if "to 300" not in told:
        with pytest.raises(ValueError, match=told):
            merge_states([state])
    assert dataset.cursor == Cursor.start()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epoch": True}, r"Expected `int`, got `bool` - at `\$.cursor.epoch`"),
        ({"packs": 1.5}, r"Expected `int`, got `float` - at `\$.cursor.packs`"),
        ({"records": ...}, r"missing required field `records` - at `\$.cursor`"),
        ({"lanes": ...}, r"missing required field `lanes` - at `\$.cursor`"),
        ({"lanes": [1]}, r"Expected `object`, got `array` - at `\$.cursor.lanes`"),
        *(
            ({"lanes": {lane: position}}, rf"Expected .* - at .*`\$.cursor.lanes{path}`")
            for lane, position, path in (
                *(("x", [0, {}], ""), ("-1", [0, {}], ""), ("0", [0], r"\[...\]"), ("0", {"0": 1}, r"\[...\]")),
                *(("0", [-1, {}], r"\[...\]\[0\]"), ("0", [1, []], r"\[...\]\[1\]"), ("0", [1, {}, 2], r"\[...\]")),
                *(("0", [1, {"a": [0]}], r"\[...\]\[1\]"), ("0", [1, {"1": [0]}], r"\[...\]")),
                *(("0", [1, {"0": 3}], r"\[...\]\[1\]\[...\]"), ("0", [1, {"0": ["3"]}], r"\[...\]\[1\]\[...\]\[0\]")),
            )
        ),
    ],
)
def test_what_is_no_cursor_is_refused_by_the_path_of_what_is_wrong(make, changes: dict[str, Any], told: str) -> None:
    cursor = {"epoch": 0, "packs": 0, "records": 0, "lanes": {}} | changes
    cursor = {name: value for name, value in cursor.items() if value is not ...}

    check_refused(make, changed_state(make, cursor=cursor), told=told)


@pytest.mark.parametrize("state", [None, [], "state", 3])
def test_what_is_not_even_an_object_is_no_state(make, state: Any) -> None:
    with pytest.raises(UserError, match=r"has format None, expected 1: .* or not what state_dict"):
        make().load_state_dict(state)
    with pytest.raises(UserError, match="expected those of all ranks"):
        merge_states([])


def test_an_epoch_that_ends_without_all_of_its_records_is_refused(make) -> None:
    """Here by a state that counts fewer records than its lanes have given."""
    loader = PackLoader(dataset := make())
    for _, _ in zip(range(3), loader, strict=False):
        state = dataset.state_dict()
    state["records_before"] = state["cursor"]["records"] = state["cursor"]["records"] - 2
    dataset = make()
    dataset.load_state_dict(state)

    with pytest.raises(UserError, match="epoch 0 is over with 298 of 300 records trained"):
        list(PackLoader(dataset, epochs=1))


def test_a_state_of_one_of_several_ranks_fits_it_alone(make) -> None:
    states = []
    for index in range(2):
        dataset = make(Rank(index, 2))
        next(by_items(dataset, num_workers=0))
        states.append(dataset.state_dict())

    make(Rank(1, 2)).load_state_dict(states[1])
    with pytest.raises(UserError, match="merge_states"):
        make(Rank(0, 2)).load_state_dict(states[1])
    with pytest.raises(UserError, match="expected those of all ranks"):
        merge_states(states[:1])
    with pytest.raises(UserError, match="expected those of all ranks"):
        merge_states([states[0], states[0]])


def test_what_only_workers_know_is_not_made_up(make) -> None:
    dataset = make()
    next(iter(DataLoader(dataset, batch_size=None, num_workers=1)))

    with pytest.raises(UserError, match="not known here"):
        dataset.state_dict()


def test_another_batch_size_than_the_loaders_is_found(make) -> None:
    dataset = make()
    loader = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=collate)

    with pytest.raises(UserError, match="batch_size"):
        list(map(dataset.trained, (batch["positions"] for batch in loader)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_packs_that_were_passed_over_are_found(make, num_workers: int) -> None:
    dataset = make()
    items = list(DataLoader(dataset, batch_size=None, num_workers=num_workers))

    with pytest.raises(UserError, match=r"not pack \d+ before it"):
        dataset.trained([item["position"] for item in items if item["position"].pack != 9])


@pytest.mark.parametrize(("world", "num_workers"), [(1, 1), (1, 2), (1, 4), (2, 2)])
def test_a_passed_over_pack_is_found_by_the_very_next_one(make, world: int, num_workers: int) -> None:
    """Where workers share no lanes: of 4, then. A worker's first pack may be found by its second one."""
    rank = Rank(world - 1, world)
    items = list(DataLoader(make(rank), batch_size=None, num_workers=num_workers))
    assert [item["position"].pack for item in items] == sorted(item["position"].pack for item in items)
    last_of = {item["position"].worker.index: item for item in items}
    assert all(item["position"].is_last == (item is last_of[item["position"].worker.index]) for item in items)

    for left_out in range(num_workers, len(items) - 1):
        dataset = make(rank)
        dataset.trained([item["position"] for item in items[:left_out]])
        missing = items[left_out]["position"].pack
        with pytest.raises(UserError, match=f"not pack {missing} before it"):
            dataset.trained([items[left_out + 1]["position"]])


def test_persistent_workers_are_refused(make) -> None:
    loader = DataLoader(make(), batch_size=None, num_workers=1, persistent_workers=True)
    assert list(loader)
    with pytest.raises(UserError, match="persistent_workers"):
        list(loader)


def test_an_item_is_what_a_model_takes(make, tokenizer, micro_base: Path, prepared) -> None:
    dataset = make(batch_size=2)
    data = (DataSet(prepared.root, prepared.manifest),)
    stream = PackStream(data, Encoder(tokenizer, max_length=128), ALONE, packs_per_step=2, seed=1)
    packs = next(stream.epoch(Cursor.start())).packs
    items = [item for item, _ in zip(dataset, range(2), strict=False)]
    batch = collate_for_flash(items)
    examples = [example for pack in packs for example in pack.examples]
    documents = [
        {"input_ids": ids, "labels": [-100] * example.num_prompt + ids[example.num_prompt :]}
        for example, ids in ((example, list(example.ids)) for example in examples)
    ]
    expected = DataCollatorWithFlattening(return_flash_attn_kwargs=True)(documents)

    assert batch.pop("positions") == [item["position"] for item in items]
    assert batch.keys() == expected.keys()
    assert all(torch.equal(torch.as_tensor(batch[name]), torch.as_tensor(expected[name])) for name in expected)
    assert batch["cu_seq_lens_q"].dtype == expected["cu_seq_lens_q"].dtype

    model = AutoModelForCausalLM.from_pretrained(micro_base)
    batch = collate(items)
    del batch["positions"]
    with torch.no_grad():
        ours = answer_loss(model, Pack(tuple(examples)))
        loss = model(**batch, use_cache=False, num_items_in_batch=1).loss
    assert loss.item() == pytest.approx(ours.item(), rel=1e-5)


def test_an_empty_pack_trains_nothing(make, micro_base: Path) -> None:
    dataset = make()
    batch = collate([dataset.empty(_last_before(1, ALONE))])
    del batch["positions"]
    model = AutoModelForCausalLM.from_pretrained(micro_base)
    model(**batch, use_cache=False, num_items_in_batch=1).loss.backward()

    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_damaged_shard_is_named_or_skipped_and_counted(make, prepared, tmp_path: Path, num_workers: int) -> None:
    root = tmp_path / "data"
    shutil.copytree(prepared.root, root)
    shard = prepared.manifest.splits["train"][1]
    (root / shard.path).unlink()
    data = [DataSet(str(root), prepared.manifest)]

    with pytest.raises(UserError, match=shard.path):
        list(PackLoader(make(data=data), num_workers=num_workers))
    items = list(DataLoader(make(data=data, skip_damaged=True), batch_size=None, num_workers=num_workers))
    assert sum(len(item["position"].rows) for item in items) == 200
    assert sum(item["position"].num_skipped for item in items) == 100
    dataset = make(data=data, skip_damaged=True)
    assert list(PackLoader(dataset, epochs=1, num_workers=num_workers))  # and it ends
    assert dataset.cursor.epoch == 1
