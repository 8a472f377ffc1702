"""RUN/ledger: which records were trained in which step, so that anybody can audit a run.

A line is one step: `{"step":12,"epoch":0,"first_pack":88,"packs":[[17,3],[250]]}`. A pack is the list of the numbers of
its records, in its order. Numbers count the rows of the split over all data sets of RUN/config.json, those beyond a
limit too. The lines are the same for any number of ranks, stops and resumes.

A file appears whole, together with the checkpoint at its last step: a resumed run repeats the steps after that one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from contract import storage
from contract.errors import UserError
from trainer.runs import names
from trainer.stream.packs import StepPacks


class TrainedStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The records of one step: those of all ranks, or of one rank."""

    step: int
    epoch: int
    first_pack: int  # its number in the epoch
    packs: Sequence[Sequence[int]]


def trained(mine: StepPacks, *, step: int, epoch: int, first_pack: int) -> TrainedStep:
    """The ledger's entry of one rank for a step."""
    packs = [[example.row for example in pack.examples] for pack in mine.packs]
    return TrainedStep(step, epoch, first_pack, packs)


def merge(parts: Sequence[Sequence[TrainedStep]]) -> Iterator[TrainedStep]:
    """The steps of all ranks together, from the steps of each rank; ranks are in order."""
    for of_step in zip(*parts, strict=True):
        first, world = of_step[0].first_pack, len(of_step)
        packs = [iter(part.packs) for part in of_step]
        num_packs = sum(len(part.packs) for part in of_step)
        whole = [next(packs[number % world]) for number in range(first, first + num_packs)]
        yield TrainedStep(of_step[0].step, of_step[0].epoch, first, whole)


def write_ledger(run: Path, steps: Sequence[TrainedStep]) -> None:
    """Writes these steps to a file of their own, if there are any."""
    if steps:
        path = run / names.LEDGER / f"from-{steps[0].step:08d}.jsonl"
        storage.write_bytes(str(path), msgspec.json.Encoder().encode_lines(steps))


def cut_ledger(run: Path, *, last_step: int) -> None:
    """Deletes the files of the steps after `last_step`. A run resumes from that step, which is the last of its file."""
    for path in _files(run):
        if int(path.stem.removeprefix("from-")) > last_step:
            path.unlink()


def read_ledger(run: Path) -> Iterator[TrainedStep]:
    """The steps of a run up to its last checkpoint, in order. UserError if the ledger or a step is missing."""
    expected = 1
    for path in _files(run):
        for step in _read(path):
            if step.step != expected:
                raise UserError(f"{path} has step {step.step}, expected {expected}: give --ledger at every resume")
            expected += 1
            yield step
    if expected == 1:
        raise UserError(f"no ledger in {run}: 'vitrine train --ledger' writes one")


def _read(path: Path) -> list[TrainedStep]:
    try:
        return msgspec.json.Decoder(TrainedStep).decode_lines(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise UserError(f"{path} is not what 'vitrine train --ledger' wrote: {error}") from error


def _files(run: Path) -> list[Path]:
    return sorted((run / names.LEDGER).glob("from-*.jsonl"))
