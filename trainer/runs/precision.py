"""The precision that a run chose for its base, and the trials that decided it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from contract.errors import UserError
from trainer.native import Precision, Trial
from trainer.native.trial import LARGEST_LOSS_DIFFERENCE
from trainer.runs import names
from trainer.runs.json_files import write_json


def write_trials(run: Path, trials: Sequence[Trial]) -> None:
    """Writes RUN/precision.json: the result of each precision of the base, and which one was chosen."""
    document = {
        "largest_loss_difference": LARGEST_LOSS_DIFFERENCE,
        "trials": [asdict(trial) for trial in trials],
    }
    write_json(run / names.TRIALS, document)


def chosen_precision(run: Path) -> Precision:
    """The precision that a run's trial chose; UserError where the run has none."""
    try:
        trials = json.loads((run / names.TRIALS).read_text())["trials"]
        return next(trial["precision"] for trial in trials if trial["is_chosen"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"{run / names.TRIALS} does not say which precision this run chose ({error}): give --base-precision"
        ) from error
