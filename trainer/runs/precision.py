"""The precision that a run chose for its base, and the trials that decided it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from contract import storage
from contract.errors import UserError
from trainer.native import (
    Precision,
    Trial,
)
from trainer.native.trial import LARGEST_LOSS_DIFFERENCE
from trainer.runs import names


def write_trials(run: Path, trials: Sequence[Trial]) -> None:
    """RUN/precision.json: how each precision of the base did, and which one was chosen."""
    document = {
        "largest_loss_difference": LARGEST_LOSS_DIFFERENCE,
        "trials": [asdict(trial) for trial in trials],
    }
    storage.write_bytes(str(run / names.TRIALS), f"{json.dumps(document, indent=1)}\n".encode())


def chosen_precision(run: Path) -> Precision:
    """The precision that a run's trial chose; UserError where the run has none."""
    try:
        trials = json.loads((run / names.TRIALS).read_text())["trials"]
        return next(trial["precision"] for trial in trials if trial["is_chosen"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"{run / names.TRIALS} does not say which precision this run chose ({error}): give --base-precision"
        ) from error
