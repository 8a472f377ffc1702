"""One function for each command. Settings are those of the command, by name, or its record of settings."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from command.options import to_argv
from command.settings import load_settings
from contract.errors import UserError
from contract.manifest import read_manifest
from launch.heavy import LaunchTraining
from spark_jobs.config import PrepareConfig, load_prepare
from synth.config import SynthConfig
from trainer.answers.settings import AskConfig, EvaluateConfig
from trainer.config import RecallConfig, TrainConfig
from trainer.evaluation.schema import read_evaluation
from trainer.runs.recalls import Report
from vitrine.command import run_command, show_command
from vitrine.results import Answer, Evaluated, Prepared, Recalled, Trained

Settings = TypeVar("Settings")
Run: TypeAlias = str | Path | Trained  # the folder of a run, or what `train` returned


_EXAMPLE: Final = 'prepare(input="trn.json", output="data")'


def synth(config: SynthConfig | None = None, /, **settings: Any) -> str:
    """The path of a made-up catalogue, which `vitrine synth` writes: `synth(output="catalogue.json", rows=1_000)`."""
    found = _settings_of(SynthConfig, config, settings)
    run_command("synth", to_argv(found))
    return found.output


def prepare(config: PrepareConfig | None = None, /, **settings: Any) -> Prepared:
    """The data set that `vitrine prepare` makes of a catalogue: `prepare(input="trn.json.gz", output="data")`.

    `prepare(append="new.json", output="data")` adds lines to a finished one.

    UserError where the command would end with exit code 2.
    """
    found = _settings_of(PrepareConfig, config, settings, load=load_prepare)
    run_command("prepare", to_argv(found))
    return Prepared(found.output, read_manifest(found.output))


def train(config: TrainConfig | None = None, /, *, launch: LaunchTraining | None = None, **settings: Any) -> Trained:
    """The run that `vitrine train` makes: `train(data="data", run="runs/first", base="smollm2")`.

    `data` may also be what `prepare` returned. `launch` says on how many GPUs. UserError as in `prepare`.
    """
    found = _settings_of(TrainConfig, config, settings)
    show_command("train", [*to_argv(found), *_argv_of_launch(launch or LaunchTraining())])
    return Trained(found.run)


def recall(run: Run, config: RecallConfig | None = None, /, **settings: Any) -> Recalled:
    """How much of the catalogue the run gives back word for word, as `vitrine recall` measures it."""
    found = _settings_of(RecallConfig, config, {"run": run, **settings, "json": True})
    return Recalled(found.run, msgspec.json.decode(run_command("recall", to_argv(found)), type=Report))


def ask(run: Run, question: str, config: AskConfig | None = None, /, **settings: Any) -> Answer:
    """The answer of a run to one question: `ask("runs/first", "What is Girls Ballet Tutu Neon Blue?")`."""
    found = _settings_of(AskConfig, config, {"run": run, "question": question, **settings, "json": True})
    options = [option for option in to_argv(found) if not option.startswith("--question=")]
    return Answer(json.loads(run_command("ask", [*options, f" {found.question}"])))  # the blank: it may begin with -


def evaluate(run: Run, config: EvaluateConfig | None = None, /, **settings: Any) -> Evaluated:
    """Answers before and after training beside the truth, with scores and a verdict, as `vitrine evaluate` has them."""
    found = _settings_of(EvaluateConfig, config, {"run": run, **settings, "json": True})
    run_command("evaluate", to_argv(found))
    return Evaluated(found.run, read_evaluation(Path(found.run)))


def _settings_of(
    cls: type[Settings],
    config: Settings | None,
    settings: Mapping[str, Any],
    *,
    load: Callable[..., Settings] | None = None,
) -> Settings:
    """A checked record; UserError names what is wrong, as on the command line."""
    load = load or partial(load_settings, cls)
    given = {name: _plain(value) for name, value in settings.items()}
    if config is None:
        return load(file=None, overrides=given)
    if not isinstance(config, cls):
        raise UserError(f"expected settings by name, as in {_EXAMPLE}, or a {cls.__name__}; found {config!r}")
    return load(file=None, overrides=vars(config) | given)


def _plain(value: Any) -> Any:
    """Paths and results as the text that a setting holds."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, Prepared | Trained | Recalled | Evaluated):
        return value.path
    return str(value) if isinstance(value, Path) else value


def _argv_of_launch(launch: LaunchTraining) -> list[str]:
    """The options, and behind `--` those of `accelerate launch`."""
    own = to_argv(replace(launch, accelerate=()))
    return [*own, "--", *launch.accelerate] if launch.accelerate else own
