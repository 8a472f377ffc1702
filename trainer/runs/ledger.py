"""RUN/ledger: which records were learnt in which step, so that anybody can audit a run.

A line is one step: `{"step": 12, "epoch": 0, "first_pack": 88, "packs": [[17, 3], [250]]}`. A pack is named by the
numbers of its records in the order in which it holds them; records are counted over the split of all data sets of
RUN/config.json, the unlearnt ones too. The lines are the same for any number of ranks, stops and resumes.

A file appears whole, with the checkpoint at its last step: what was learnt after the last checkpoint is learnt again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from contract import storage
from contract.errors import UserError
from trainer.runs import names
from trainer.stream.packs import StepPacks


@dataclass(frozen=True)
class LearntStep:
    """The records of one step: of all ranks, or of one of them."""

    step: int
    epoch: int
    first_pack: int  # counted in its epoch
    packs: Sequence[Sequence[int]]


def learnt(mine: StepPacks, *, step: int, epoch: int, first_pack: int) -> LearntStep:
    """One rank's part of a step."""
    packs = [[example.row for example in pack.examples] for pack in mine.packs]
    return LearntStep(step, epoch, first_pack, packs)


def merge(parts: Sequence[Sequence[LearntStep]]) -> Iterator[LearntStep]:
    """The whole steps from the parts of all ranks, in their order."""
    for of_step in zip(*parts, strict=True):
        first, world = of_step[0].first_pack, len(of_step)
        packs = [iter(part.packs) for part in of_step]
        num_packs = sum(len(part.packs) for part in of_step)
        whole = [next(packs[number % world]) for number in range(first, first + num_packs)]
        yield LearntStep(of_step[0].step, of_step[0].epoch, first, whole)


def write_ledger(run: Path, steps: Sequence[LearntStep]) -> None:
    """Writes these steps to a file of their own, if there are any."""
    if steps:
        lines = (json.dumps(asdict(step), separators=(",", ":")) for step in steps)
        path = run / names.LEDGER / f"from-{steps[0].step:08d}.jsonl"
        storage.write_bytes(str(path), "".join(f"{line}\n" for line in lines).encode())


def cut_ledger(run: Path, *, last_step: int) -> None:
    """Drops the files of the steps after the one that a run goes on from, which is the last one of its file."""
    for path in _files(run):
        if int(path.stem.removeprefix("from-")) > last_step:
            path.unlink()


def read_ledger(run: Path) -> Iterator[LearntStep]:
    """The steps of a run up to its last checkpoint, in order. UserError where there is no ledger, or steps lack."""
    expected = 1
    for path in _files(run):
        for line in path.read_text().splitlines():
            step = LearntStep(**json.loads(line))
            if step.step != expected:
                raise UserError(
                    f"{path} goes on with step {step.step}, expected {expected}: give --ledger at every resume"
                )
            expected += 1
            yield step
    if expected == 1:
        raise UserError(f"no ledger in {run}: 'vitrine train --ledger' writes one")


def _files(run: Path) -> list[Path]:
    return sorted((run / names.LEDGER).glob("from-*.jsonl"))
