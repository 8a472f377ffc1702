"""Trainings one after the other in the same ranks, since a start takes longer than a small training.

`accelerate launch -m tests.trainer.many_trainings PLAN`: PLAN is a JSON file of settings by name. Each rank writes what
became of them beside it, PLAN.0, PLAN.1 and so on: an error's text, or null.
"""

import json
import sys
from pathlib import Path

from accelerate import Accelerator

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.train import train


def outcome(settings: dict) -> str | None:
    """The error that a training ended with, if it did."""
    try:
        train(TrainConfig(**settings | {"data": tuple(settings["data"])}))
    except UserError as error:
        return str(error)
    return None


if __name__ == "__main__":
    accelerator = Accelerator()
    end = accelerator.end_training
    Accelerator.end_training = lambda _: None  # would close the ranks' connections, which the next training needs
    plan = Path(sys.argv[1])
    outcomes = {name: outcome(settings) for name, settings in json.loads(plan.read_text()).items()}
    Path(f"{plan}.{accelerator.process_index}").write_text(json.dumps(outcomes))
    end()  # a rank that leaves its connections open may be aborted by their threads on its way out
