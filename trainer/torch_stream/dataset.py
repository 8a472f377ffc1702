"""The stream as an ordinary `torch.utils.data.IterableDataset`, for training loops other than ours.

    dataset = PackDataset(open_data(["data"]), tokenizer, max_length=2048)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        for batch in DataLoader(dataset, collate_fn=collate, num_workers=2):
            places = batch.pop("places")
            ...  # learn it: model(**batch, use_cache=False)
            dataset.learnt(places)
            state = dataset.state_dict()

`trainer.torch_stream.loader.PackLoader` does all of this, and keeps ranks in step.
Shapes: T tokens, D documents of a row.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerBase

from contract.errors import UserError
from trainer.config import is_at_least
from trainer.examples.encoder import Encoder, Example, Pack
from trainer.examples.tensors import pack_tensors
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Rank, Worker
from trainer.shards.cache import Cache
from trainer.stream.cursor import Cursor, differences
from trainer.stream.packs import PackStream
from trainer.torch_stream.collate import starts_of
from trainer.torch_stream.positions import PackPlace, State, after, passed_over, places_of


class PackDataset(IterableDataset[dict[str, Any]]):
    """The packs of one rank, in the order in which they are learnt, for any number of DataLoader workers.

    An item is one pack: `input_ids`, `labels` (-100 outside the answers) and `position_ids` (from 0 in each document),
    each of shape T, `seq_lengths` (a list of D), `cu_seqlens` (D + 1, int32), and `place`. A pack may be empty, for
    lanes end at different packs: it is then one token that learns nothing.

    Iterating gives what is left of one epoch, from where the data set stands; `learnt`, `set_epoch` and
    `load_state_dict` move it, iterating does not. Packs come in order only if `batch_size` is the DataLoader's (1 for
    None). No lane is read twice if ranks times batch size times workers divides `trainer.plan.order.NUM_LANES`.
    """

    _place: Cursor  # where this rank stands
    _records_before: int  # of the epoch, when it was put there
    _first_turn: int  # the pack from which workers' turns are counted
    _given: Cursor | None  # after what was iterated in this process
    _iterated_by: int | None  # a process, by its number: workers are copies
    _last_of: dict[int, PackPlace]  # the last pack that was learnt, by worker

    def __init__(
        self,
        data: Sequence[DataSet],
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        batch_size: int = 1,
        seed: int = 0,
        skip_damaged: bool = False,
        cache: Cache | None = None,
        rank: Rank | None = None,
    ) -> None:
        """`data` from `trainer.plan.data_sets.open_data`. Without a `rank`, it is this process's in its launch.

        UserError names what is out of range; nothing is read yet.
        """
        self.rank, self.batch_size = rank or this_rank(), batch_size
        _check(data, self.rank, batch_size=batch_size, seed=seed)
        self._stream = PackStream(
            tuple(data),
            Encoder(tokenizer, max_length=max_length),
            self.rank,
            max_length=max_length,
            packs_per_step=self.rank.world,
            seed=seed,
            skip_damaged=skip_damaged,
            cache=cache,
        )
        self._num_lanes = self._stream.num_lanes
        self._filler = Pack((Example(-1, [tokenizer.eos_token_id], 1, 0),))
        self._is_told = False
        # Workers have copies of this object; what lies in shared memory they have in common.
        self._is_read_by_workers = torch.zeros(1, dtype=torch.bool).share_memory_()
        self._stand(Cursor())

    @property
    def place(self) -> Cursor:
        """Where this rank stands, and the next iteration begins."""
        return self._place

    @property
    def num_records(self) -> int:
        """Records of an epoch, over all ranks."""
        return self._stream.num_records

    @property
    def records_before(self) -> int:
        """Records of this epoch, over all ranks, before this rank was put where it went on from."""
        return self._records_before

    def set_epoch(self, epoch: int) -> None:
        """Goes to the start of this epoch, unless the data set stands in it already."""
        if not is_at_least(0, epoch):
            raise UserError(f"epoch = {epoch!r}, expected an integer of at least 0")
        if epoch != self._place.epoch:
            self._stand(Cursor(epoch))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The packs that are left of the epoch; in a worker, those that are its turn."""
        rank, cursor = self._reader(), self._place
        self._given = cursor
        with closing(replace(self._stream, rank=rank).epoch(cursor)) as steps:
            for step, place in places_of(steps, cursor, rank):
                self._given = after(self._given, place, world=rank.world)
                yield self._item(step.packs[0], place)

    def empty(self, place: PackPlace) -> dict[str, Any]:
        """The item of a pack in which there is nothing to learn."""
        return self._item(Pack(()), place)

    def learnt(self, places: Sequence[PackPlace]) -> None:
        """Moves on behind these packs, in order: what is resumed from is what was learnt, not what was read ahead."""
        for place in places:
            if place.epoch != self._place.epoch or place.pack < self._place.packs:
                raise UserError(
                    f"pack {place.pack} of epoch {place.epoch} was learnt where pack {self._place.packs} of epoch"
                    f" {self._place.epoch} or a later one was due: call set_epoch before each epoch, and give"
                    f" PackDataset the batch_size of its DataLoader (it has {self.batch_size})"
                )
            missing = passed_over(place, self._place.packs, self._last_of, rank=self.rank, num_lanes=self._num_lanes)
            if missing is not None:
                raise UserError(
                    f"pack {place.pack} was learnt, but not pack {missing} before it: every pack has to be, and"
                    " accelerator.prepare must not cut up once more what is one rank's already"
                )
            if place.worker:
                self._last_of[place.worker.index] = place
            self._place = after(self._place, place, world=self.rank.world)
        self._is_told, self._first_turn = True, self._place.packs

    def state_dict(self) -> dict[str, Any]:
        """Where this rank stands, as plain JSON: after what was `learnt`.

        Where nothing was ever said to be learnt, after what was iterated in this process: so torchdata's
        StatefulDataLoader gets it from its workers. UserError where only DataLoader's workers could know.
        """
        info = get_worker_info()
        is_given = self._given is not None and self._iterated_by == os.getpid() and not self._is_told
        if not (info or is_given or self._is_told) and self._is_read_by_workers:
            raise UserError(
                "what DataLoader's workers have read is not known here: after each batch call"
                " dataset.learnt(batch['places']), or use trainer.torch_stream.loader.PackLoader or torchdata's"
                " StatefulDataLoader"
            )
        return State(
            identity=self._identity(),
            cursor=self._given if self._given and is_given else self._place,
            records_before=self._records_before,
            rank=[self.rank.index, self.rank.world],
            worker=[info.id, info.num_workers, self._first_turn] if info else None,
        ).to_json()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to where this state was made, by seeking. UserError names what differs from it, or is no part of one."""
        found, info = State.from_json(state), get_worker_info()
        problems = differences(found.identity, self._identity())
        if found.rank[1] > 1 and list(found.rank) != [self.rank.index, self.rank.world]:
            problems.append(
                f"it is of rank {found.rank} and this is rank {[self.rank.index, self.rank.world]}:"
                " join the states of all its ranks with trainer.torch_stream.positions.merge_states"
            )
        if found.worker and list(found.worker[:2]) != (info and [info.id, info.num_workers]):
            problems.append(f"it is of worker {found.worker[:2]}: it fits this worker of as many alone")
        if not found.records_before <= found.cursor.records <= self.num_records:
            problems.append(
                f"cursor: records = {found.cursor.records}, expected from {found.records_before} (records_before) to"
                f" {self.num_records} (of an epoch)"
            )
        if problems:
            raise UserError("the state cannot be resumed: " + "; ".join(problems))
        self._stand(found.cursor)
        self._records_before = found.records_before
        if found.worker:
            self._first_turn = found.worker[2]

    def _stand(self, cursor: Cursor) -> None:
        self._place, self._records_before, self._first_turn = cursor, cursor.records, cursor.packs
        self._given, self._iterated_by, self._last_of = None, None, {}
        self._is_read_by_workers[0] = False

    def _identity(self) -> dict[str, Any]:
        """What decides on packs and their order. The packs of a step are the loop's affair."""
        return {name: value for name, value in self._stream.identity().items() if name != "packs_per_step"}

    def _reader(self) -> Rank:
        """What this process reads: all of the rank, or a worker's turns."""
        info = get_worker_info()
        if info and self._iterated_by == os.getpid():
            raise UserError("persistent_workers=True: workers could not be told of the next epoch; leave it out")
        self._iterated_by = os.getpid()
        if info is None:
            return self.rank
        self._is_read_by_workers[0] = True
        return replace(self.rank, worker=Worker(info.id, info.num_workers, self.batch_size, self._first_turn))

    def _item(self, pack: Pack, place: PackPlace) -> dict[str, Any]:
        pack = pack if pack.examples else self._filler
        input_ids_T, position_ids_T, labels_T = pack_tensors(pack, device=torch.device("cpu"))
        lengths = [len(example.ids) for example in pack.examples]
        return {
            "input_ids": input_ids_T,
            "labels": labels_T,
            "position_ids": position_ids_T,
            "seq_lengths": lengths,
            "cu_seqlens": starts_of(lengths),
            "place": place,
        }


def _check(data: Sequence[DataSet], rank: Rank, *, batch_size: int, seed: int) -> None:
    """UserError with all that is out of range."""
    problems = []
    if not data or not all(isinstance(each, DataSet) for each in data):
        problems.append(f"data = {data!r:.60}, expected what trainer.plan.data_sets.open_data gives")
    if not is_at_least(1, batch_size):
        problems.append(f"batch_size = {batch_size!r}, expected an integer of at least 1")
    if not is_at_least(0, seed) or seed >= 2**63:
        problems.append(f"seed = {seed!r}, expected an integer from 0 to below 2^63")
    if not 0 <= rank.index < rank.world:
        problems.append(f"rank = {rank.index} of {rank.world}, expected one from 0 to below the number of ranks")
    if problems:
        raise UserError("; ".join(problems))


def this_rank() -> Rank:
    """This process's rank: of torch.distributed where it runs, else as launchers put it into the environment."""
    if distributed.is_available() and distributed.is_initialized():
        return Rank(distributed.get_rank(), distributed.get_world_size())
    return Rank(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
