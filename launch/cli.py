"""The `vitrine` command: settings are checked before anything heavy starts, then the module that does the work runs."""

import argparse
import dataclasses
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from command.entry import DEBUG, exit_code
from command.options import Parser, add_config_option, add_options
from command.settings import load_settings
from command.signals import raising_on_signals
from launch import demo, heavy, inspection, synthesis, verification
from launch.processes import require_installed
from spark_jobs.config import PrepareConfig, load_prepare
from synth.config import SynthConfig
from trainer.answers.settings import AskConfig, EvaluateConfig
from trainer.bases.source import require_base
from trainer.config import SMOLLM2_BASE, RecallConfig, TrainConfig
from trainer.serving.settings import ServeConfig


@dataclass(frozen=True)
class Command:
    """One command: its settings, its work, and examples for its help."""

    settings: type
    run: Callable[..., int]  # takes the settings, and those of the launch where there are any
    help: str
    examples: str
    positional: str = ""  # the setting that is given without an option
    launch: type | None = None  # settings of how its module is started, for those that run in processes of their own
    load: Callable[..., Any] | None = None  # makes the settings, where load_settings is not enough


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; exit code 2 where the user has to change something."""
    return exit_code(partial(_main, argv))  # help, too, may be printed to a reader that has read enough


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    command, values = COMMANDS[arguments.command], vars(arguments)
    if rest and rest[0] == "--" and command.launch is heavy.LaunchTraining:
        if not all(each.startswith("-") for each in rest[1:2]):
            parser.error(f"expected an option of 'accelerate launch' behind --, found {rest[1]}")
        values["accelerate"] = tuple(rest[1:])
    elif rest:
        parser.error(f"unknown arguments for {arguments.command}: {shlex.join(rest)}")

    def run() -> int:
        load = command.load or partial(load_settings, command.settings)
        settings = [load(file=arguments.config, overrides=_of(command.settings, values))]
        if command.launch:
            settings.append(command.launch(**_of(command.launch, values)))
        return command.run(*settings)

    if arguments.debug:
        os.environ[DEBUG] = "1"  # for the processes of a module, too
    with raising_on_signals() as received:  # so that either signal leaves time to tidy up
        code = exit_code(run)
    return 128 + received[0] if received else code


def _of(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a settings record takes, where they were given."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in values.items() if name in names and value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="vitrine",
        description="Turns a product catalogue into a model that describes any product from its title.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vitrine {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=f"examples:\n{command.examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add_config_option(sub)
        add_options(sub, command.settings, positional=command.positional)
        if command.launch:
            add_options(sub, command.launch)
        sub.add_argument("--debug", action="store_true", help="show where in the code an error comes from")
    return parser


def _version() -> str:
    try:
        return version("vitrine")
    except PackageNotFoundError:  # it runs from its folder
        return "(not installed)"


def _demo(config: demo.DemoConfig) -> int:
    require_installed("pyspark", "spark")
    require_installed("torch", "train")  # reported before half of the work is done
    require_base(SMOLLM2_BASE)
    return demo.run(config, main)


COMMANDS: Final = {
    "synth": Command(
        SynthConfig,
        synthesis.run,
        "write a catalogue of made-up products, with all the dirt of a real one",
        "  vitrine synth --rows 250000 --seed 1 --output catalogue.json.gz",
    ),
    "prepare": Command(
        PrepareConfig,
        heavy.prepare,
        "clean a catalogue and write it as shards with a manifest, on Spark",
        "  vitrine prepare --input trn.json.gz --output data\n"
        "  vitrine prepare --append new.json.gz --output data\n"
        "  vitrine prepare --input 's3://bucket/raw/*.json' --output s3://bucket/data --on spark://host:7077",
        launch=heavy.Launch,
        load=load_prepare,
    ),
    "inspect": Command(
        inspection.InspectConfig,
        inspection.run,
        "show what a prepared data set holds",
        "  vitrine inspect data --records 3\n"
        "  vitrine inspect data --records 3 --split val\n"
        "  vitrine inspect s3://bucket/data --json",
        positional="data",
    ),
    "verify": Command(
        verification.VerifyConfig,
        verification.run,
        "read a prepared data set again and check every law of it; exit code 1 if one is broken",
        "  vitrine verify data\n  vitrine verify s3://bucket/data --json",
        positional="data",
    ),
    "train": Command(
        TrainConfig,
        heavy.train,
        "train a 4-bit base with LoRA on prepared shards, on Accelerate",
        "  vitrine train --data data --run runs/first\n"
        "  vitrine train --data s3://bucket/data --run runs/first --num-processes 4\n"
        "  vitrine train --data data --run runs/first --resume\n"
        "  vitrine train --data data --run runs/large --parts 8\n"
        "  vitrine train --data data --run runs/first -- --main_process_port 29501   (after --: to accelerate launch)",
        launch=heavy.LaunchTraining,
        load=heavy.load_training,
    ),
    "ask": Command(
        AskConfig,
        heavy.ask,
        "ask a trained model about a product, or about many",
        "  vitrine ask --run runs/first 'What is Girls Ballet Tutu Neon Blue?'\n"
        "  vitrine ask --run runs/first --before 'What is Girls Ballet Tutu Neon Blue?'\n"
        "  vitrine ask --run runs/first --questions titles.txt --output answers.jsonl\n"
        "  vitrine ask --run runs/first        (then one question a line)",
        positional="question",
        launch=heavy.Launch,
    ),
    "serve": Command(
        ServeConfig,
        heavy.serve,
        "answer over HTTP: OpenAI's chat API for programs, and a page for people",
        "  vitrine serve --run runs/first\n  vitrine serve --run runs/first --host 0.0.0.0 --api-key-file key.txt",
        launch=heavy.Launch,
    ),
    "recall": Command(
        RecallConfig,
        heavy.recall,
        "measure how much of the catalogue a trained model gives back word for word",
        "  vitrine recall --run runs/first\n  vitrine recall --run runs/first --all --json",
        launch=heavy.Launch,
    ),
    "evaluate": Command(
        EvaluateConfig,
        heavy.evaluate,
        "compare answers before and after training with the true descriptions: scores, a verdict, a page",
        "  vitrine evaluate --run runs/first\n  vitrine evaluate --run runs/first --seen 500 --unseen 200 --json",
        launch=heavy.Launch,
    ),
    "demo": Command(
        demo.DemoConfig,
        _demo,
        "walk the whole way on a small catalogue: prepare, train, ask",
        "  vitrine demo",
    ),
}


if __name__ == "__main__":
    sys.exit(main())
