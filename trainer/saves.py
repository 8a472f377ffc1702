"""When a run writes a checkpoint, and what a stopped one says."""

import shlex
import time
from pathlib import Path

from accelerate.utils import gather_object
from msgspec.structs import replace as replaced

from trainer.config import TrainConfig
from trainer.parts.manifest import whole_run
from trainer.runs.checkpoint import RunState, save_checkpoint
from trainer.runs.copies import try_to_copy
from trainer.runs.ledger import TrainedStep, merge, write_ledger
from trainer.runs.ownership import discard
from trainer.step import TrainState


class Saves:
    """The checkpoints of a run: every so many steps, and besides every so many minutes of the first rank's clock.

    One that the clock asked for is deleted when the next one is written.
    """

    def __init__(self, state: TrainState, config: TrainConfig, *, step: int) -> None:
        self._state, self._config = state, config
        self._ended_s = time.monotonic()
        self._replaced: Path | None = None
        self.last_step = step

    def is_due(self) -> bool:
        """Whether enough time has passed by the clock of this process; false on all ranks but the first."""
        has_passed = time.monotonic() - self._ended_s >= 60 * self._config.save_minutes
        return has_passed and self._state.accelerator.is_main_process

    def is_agreed(self, num_due: int, *, step: int) -> bool:
        """Whether all ranks save after this step. Steps are made ahead: one may have been asked for before the last."""
        return step % self._config.save_every == 0 or (num_due > 0 and step > self.last_step + 1)

    def save(self, reached: RunState, ledger: list[TrainedStep]) -> None:
        """Writes checkpoint and ledger, and empties `ledger`.

        Collective: each rank sends the positions of its lanes and its part of the ledger, rank 0 writes.
        """
        state, config = self._state, self._config
        ranks = gather_object([(dict(reached.cursor.lanes), ledger)])
        lanes = {lane: position for lanes_of_rank, _ in ranks for lane, position in lanes_of_rank.items()}
        if state.accelerator.is_main_process:
            run = Path(config.run)
            state.engine.export_adapter()
            write_ledger(run, list(merge([part for _, part in ranks])))
            whole = replaced(reached, cursor=reached.cursor.with_lanes(lanes), loss_scale=state.loss_scale)
            folder = save_checkpoint(run, whole, model=state.engine.model, optimizer=state.optimizer)
            if self._replaced:
                discard(self._replaced)
            self._replaced = folder if reached.step % config.save_every else None
            if config.copy_to:
                try_to_copy(run, config.copy_to)
        ledger.clear()
        state.accelerator.wait_for_everyone()
        self.last_step, self._ended_s = reached.step, time.monotonic()


def stopped_text(run: Path, *, step: int) -> str:
    """What a run says that stopped after this step, in one line."""
    if not step:
        return "stopped before the first step was trained"
    command = f"vitrine train --run {shlex.quote(str(whole_run(run)))} --resume"
    return f"stopped after step {step}, with a checkpoint; go on with '{command}'"
