"""The commands as functions, for notebooks and pipelines: `import vitrine`.

Each function runs the command of its name and returns what it made. Nothing is computed here, and no setting is
declared here.
"""

from contract.errors import UserError
from launch.heavy import LaunchTraining
from spark_jobs.config import PrepareConfig
from synth.config import SynthConfig
from trainer.answers.settings import AskConfig, EvaluateConfig
from trainer.config import RecallConfig, TrainConfig
from vitrine.calls import ask, evaluate, prepare, recall, synth, train
from vitrine.command import CommandError
from vitrine.results import Answer, Evaluated, Prepared, Recalled, Trained

__all__ = [
    "Answer",
    "AskConfig",
    "CommandError",
    "EvaluateConfig",
    "Evaluated",
    "LaunchTraining",
    "PrepareConfig",
    "Prepared",
    "RecallConfig",
    "Recalled",
    "SynthConfig",
    "TrainConfig",
    "Trained",
    "UserError",
    "ask",
    "evaluate",
    "prepare",
    "recall",
    "synth",
    "train",
]
