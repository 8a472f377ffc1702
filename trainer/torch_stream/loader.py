"""Batches of packs for any training loop: the same number on every rank, and a state after each batch."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import distributed
from torch.utils.data import DataLoader

from contract.errors import UserError
from trainer.config import is_at_least
from trainer.torch_stream.collate import collate
from trainer.torch_stream.dataset import PackDataset
from trainer.torch_stream.workers import PackPosition

Batch = dict[str, Any]


class PackLoader:
    """An iteration gives the rest of an epoch, the next iteration the next epoch, up to epoch `epochs`; then nothing.

    Collective: before each batch, ranks agree (by one integer, on the CPU) whether any of them has a batch left. Ranks
    without one get batches in which no token counts in the loss. An error of one rank is raised on all ranks. An epoch
    has a multiple of `batches_per_step` batches, so that gradients accumulate within it.

    `dataset.state_dict()` is the state after the last batch that was given, however much was read ahead.
    """

    def __init__(
        self,
        dataset: PackDataset,
        *,
        epochs: int | None = None,
        batches_per_step: int = 1,
        collate_fn: Callable[[Sequence[Batch]], Batch] = collate,
        **options: Any,  # DataLoader's own: num_workers, pin_memory, prefetch_factor
    ) -> None:
        """UserError names what is out of range."""
        _check(epochs, batches_per_step, options)
        self.dataset = dataset
        self._epochs, self._batches_per_step = epochs, batches_per_step
        self._collate = partial(_with_positions, collate_fn)
        self._loader = DataLoader(dataset, batch_size=dataset.batch_size, collate_fn=self._collate, **options)
        self._group: Any = None  # of all ranks, on the CPU

    def __iter__(self) -> Iterator[Batch]:
        """Batches as `collate_fn` makes them, without `positions`."""
        is_empty = True
        while is_empty and (self._epochs is None or self.dataset.cursor.epoch < self._epochs):
            for batch in self._rest_of_epoch():
                is_empty = False
                yield batch
            self.dataset.set_epoch(self.dataset.cursor.epoch + 1)

    def _rest_of_epoch(self) -> Iterator[Batch]:
        end, size = self.dataset.cursor.packs, self.dataset.rank.world * self.dataset.batch_size
        batches = iter(self._loader)
        held: tuple[Batch, list[PackPosition]] | None = None
        is_over, error = False, None
        for turn in itertools.count():
            if held is None and not is_over:
                try:
                    held = next(batches, None)
                except (UserError, OSError) as raised:
                    error = raised
                is_over = held is None
            if not self._is_any(held is not None, error) and turn % self._batches_per_step == 0:
                self._check_whole()
                return
            end += size
            last = self._last(end)
            # The DataLoader leaves out the turns of a worker that has come to its end: they are filled in here.
            is_due = held is not None and held[1][0].pack < end
            batch, positions = held if held and is_due else self._collate([self.dataset.empty(last)])
            held = None if is_due else held
            self.dataset.trained(positions if positions[-1].pack == last.pack else [*positions, last])
            yield batch

    def _check_whole(self) -> None:
        """UserError, on all ranks, if an epoch is over but some of its records were not given. Collective."""
        before, cursor = self.dataset.records_before, self.dataset.cursor
        records = before + self._sum(cursor.records - before)
        if records != self.dataset.num_records:
            raise UserError(
                f"epoch {cursor.epoch} is over with {records:,} of {self.dataset.num_records:,} records trained or"
                " skipped: the state that it was resumed from is not of this data, or not all batches were taken"
            )

    def _last(self, end: int) -> PackPosition:
        """The position of an empty pack: this rank's last one before `end`."""
        rank = self.dataset.rank
        return PackPosition(self.dataset.cursor.epoch, rank.first_pack(end) - rank.world)

    def _is_any(self, has_batch: bool, error: Exception | None) -> bool:
        """Whether any rank has a batch. Raises the errors of all ranks. Collective."""
        rank = self.dataset.rank
        if rank.world == 1:
            if error is not None:
                raise error
            return has_batch
        if self._group is None:
            if not distributed.is_initialized() or distributed.get_world_size() != rank.world:
                raise UserError(
                    f"this is rank {rank.index} of {rank.world}, but torch.distributed does not run on as many ranks"
                )
            self._group = distributed.new_group(backend="gloo")
        flags = torch.tensor([has_batch, error is not None], dtype=torch.int32)
        distributed.all_reduce(flags, distributed.ReduceOp.MAX, group=self._group)
        if flags[1]:
            texts: list[Any] = [None] * rank.world
            distributed.all_gather_object(texts, error and str(error), group=self._group)
            raise UserError("; ".join(sorted({text for text in texts if text}))) from error
        return bool(flags[0])

    def _sum(self, number: int) -> int:
        """The sum over all ranks. Collective."""
        total = torch.tensor(number)
        if self._group is not None:
            distributed.all_reduce(total, group=self._group)
        return int(total)


def _check(epochs: int | None, batches_per_step: int, options: Mapping[str, Any]) -> None:
    """UserError with all that is out of range."""
    problems = []
    if epochs is not None and not is_at_least(1, epochs):
        problems.append(f"epochs = {epochs!r}, expected None or an integer of at least 1")
    if not is_at_least(1, batches_per_step):
        problems.append(f"batches_per_step = {batches_per_step!r}, expected an integer of at least 1")
    problems += [
        f"{name} = {options[name]!r}, expected {expected}" for name, expected in _REFUSED.items() if options.get(name)
    ]
    if problems:
        raise UserError("; ".join(problems))


# Options of a DataLoader that PackLoader does not take.
_REFUSED: Final = {
    "batch_size": "it to be given to PackDataset",
    "drop_last": "False: every record has to be trained",
    "persistent_workers": "False: workers would not get to know of the next epoch",
}


def _with_positions(
    collate_fn: Callable[[Sequence[Batch]], Batch], items: Sequence[Batch]
) -> tuple[Batch, list[PackPosition]]:
    batch = collate_fn(items)
    batch.pop("positions", None)  # models do not take them
    return batch, [item["position"] for item in items]
