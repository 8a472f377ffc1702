"""The stream as an ordinary `torch.utils.data.IterableDataset`, for training loops other than ours.

    encoder = Encoder(tokenizer, max_length=2048)
    dataset = PackDataset(PackStream(open_data(["data"]), encoder, this_rank()))
    for epoch in range(3):
        dataset.set_epoch(epoch)
        for batch in DataLoader(dataset, collate_fn=collate, num_workers=2):
            positions = batch.pop("positions")
            ...  # train on it: model(**batch, use_cache=False)
            dataset.trained(positions)
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

from contract.errors import UserError
from trainer.config import is_at_least
from trainer.examples.encoder import Example, Pack
from trainer.examples.tensors import pack_tensors
from trainer.plan.order import Rank
from trainer.stream.cursor import Cursor, differences, to_json
from trainer.stream.packs import PackStream
from trainer.torch_stream.collate import starts_of
from trainer.torch_stream.state import State
from trainer.torch_stream.workers import CopyState, PackPosition, Worker, positions_of


class PackDataset(IterableDataset[dict[str, Any]]):
    """The packs of one rank, in the order in which they are trained, for any number of DataLoader workers.

    An item is one pack: `input_ids`, `labels` (-100 outside the answers) and `position_ids` (from 0 in each document),
    each of shape T, `seq_lengths` (a list of D), `cu_seqlens` (D + 1, int32), and `position` (a PackPosition). Lanes
    end at different packs, so a pack may be empty: it is then one token that does not count in the loss.

    An iteration gives the rest of one epoch, from `cursor` on. It does not move the cursor: `trained`, `set_epoch` and
    `load_state_dict` do. Packs come in order only if `batch_size` is the DataLoader's (1 for None).
    """

    def __init__(self, stream: PackStream, *, batch_size: int = 1) -> None:
        """Of the stream all but its `packs_per_step`. Reads nothing yet. UserError if `batch_size` is out of range."""
        if not is_at_least(1, batch_size):
            raise UserError(f"batch_size = {batch_size!r}, expected an integer of at least 1")
        self._stream = replace(stream, packs_per_step=stream.rank.world)
        self._filler = Pack((Example(-1, [stream.encoder.end_id], 1, 0),))
        self.rank, self.batch_size = stream.rank, batch_size
        self._copy = CopyState(rank=stream.rank, batch_size=batch_size, num_lanes=stream.num_lanes)
        self._is_read_by_workers = torch.zeros(1, dtype=torch.bool).share_memory_()  # one for all copies

    @property
    def cursor(self) -> Cursor:
        """The cursor after what this rank has trained, where the next iteration begins."""
        return self._copy.cursor

    @property
    def num_records(self) -> int:
        """Records of an epoch, over all ranks."""
        return self._stream.num_records

    @property
    def records_before(self) -> int:
        """Records of this epoch, over all ranks, at the cursor that this rank was put to."""
        return self._copy.records_before

    def set_epoch(self, epoch: int) -> None:
        """Goes to the start of this epoch, unless the cursor is in it already."""
        if not is_at_least(0, epoch):
            raise UserError(f"epoch = {epoch!r}, expected an integer of at least 0")
        if epoch != self.cursor.epoch:
            self._put_to(self._copy.put_to(Cursor.start(epoch)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rest of the epoch; in a worker, the packs that are its turn."""
        info, cursor = get_worker_info(), self.cursor
        self._copy = self._copy.iterated(info.id if info else None)
        worker = Worker(self.rank)
        if info:
            self._is_read_by_workers[0] = True
            worker = self._copy.worker(info.id, num_workers=info.num_workers)
        with closing(self._stream.epoch(cursor, share=worker)) as steps:
            for step, position in positions_of(steps, cursor, worker):
                self._copy = self._copy.after_yielding(position)
                yield self._item(step.packs[0], position)

    def empty(self, position: PackPosition) -> dict[str, Any]:
        """The item of an empty pack."""
        return self._item(Pack(()), position)

    def trained(self, positions: Sequence[PackPosition]) -> None:
        """Moves the cursor behind these packs, which must come in order: a run resumes from what it has trained."""
        self._copy = self._copy.after_training(positions)

    def state_dict(self) -> dict[str, Any]:
        """The state of this rank, as plain JSON: after the packs that were reported by `trained`.

        If `trained` was never called, the state is after what was yielded in this process; so StatefulDataLoader of
        torchdata gets it from its workers. UserError where only DataLoader's workers know it.
        """
        info, copy = get_worker_info(), self._copy
        if not (info or copy.yielded or copy.is_reported) and self._is_read_by_workers:
            raise UserError(
                "what DataLoader's workers have read is not known here: after each batch call"
                " dataset.trained(batch['positions']), or use trainer.torch_stream.loader.PackLoader or torchdata's"
                " StatefulDataLoader"
            )
        state = State(
            identity=self._identity(),
            cursor=copy.to_resume(info.id if info else None),
            records_before=copy.records_before,
            rank=(self.rank.index, self.rank.world),
            worker=(info.id, info.num_workers, copy.first_turn) if info else None,
        )
        return to_json(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to the cursor of this state, by seeking. UserError names every difference to the stream of the state."""
        found, info = State.from_json(state), get_worker_info()
        rank = (self.rank.index, self.rank.world)
        problems = differences(found.identity, self._identity(), defaults=self._stream.identity_by_default())
        if found.rank[1] > 1 and found.rank != rank:
            problems.append(
                f"it is of (rank, ranks) {found.rank} and this is {rank}: join the states of all ranks with"
                " trainer.torch_stream.state.merge_states"
            )
        if found.worker and found.worker[:2] != (info and (info.id, info.num_workers)):
            problems.append(f"it is of (worker, workers) {found.worker[:2]}: only the same worker can resume it")
        if not found.records_before <= found.cursor.records <= self.num_records:
            problems.append(
                f"cursor: records = {found.cursor.records}, expected from {found.records_before} (records_before) to"
                f" {self.num_records} (of an epoch)"
            )
        if problems:
            raise UserError("the state cannot be resumed: " + "; ".join(problems))
        first_turn = found.worker[2] if found.worker else None
        self._put_to(self._copy.put_to(found.cursor, records_before=found.records_before, first_turn=first_turn))

    def _put_to(self, copy: CopyState) -> None:
        self._copy = copy
        self._is_read_by_workers[0] = False

    def _identity(self) -> dict[str, Any]:
        """What packs and their order depend on. How many packs make a step is up to the loop."""
        return {name: value for name, value in self._stream.identity().items() if name != "packs_per_step"}

    def _item(self, pack: Pack, position: PackPosition) -> dict[str, Any]:
        pack = pack if pack.examples else self._filler
        input_ids_T, position_ids_T, labels_T = pack_tensors(pack, device=torch.device("cpu"))
        lengths = [len(example.ids) for example in pack.examples]
        return {
            "input_ids": input_ids_T,
            "labels": labels_T,
            "position_ids": position_ids_T,
            "seq_lengths": lengths,
            "cu_seqlens": starts_of(lengths),
            "position": position,
        }


def this_rank() -> Rank:
    """This process's rank: from torch.distributed if it runs, else from the launcher's environment variables."""
    if distributed.is_available() and distributed.is_initialized():
        return Rank(distributed.get_rank(), distributed.get_world_size())
    return Rank(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
