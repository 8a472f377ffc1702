"""The `vitrine` command: settings are checked before anything heavy starts, then the part that does the work runs."""

import argparse
import dataclasses
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from command.entry import exit_code
from command.machine import count_gpus, crowd_text
from command.options import Parser, add_options
from command.settings import given_settings, load_settings
from command.signals import handling_signals
from contract.errors import UserError
from contract.manifest import read_manifest
from launch import demo, inspection, verification
from launch.commands import module_argv, train_argv
from launch.processes import require_installed, run_part
from launch.synthesis import SynthOptions, run_synthesis
from spark_jobs.config import PrepareConfig
from trainer.config import AskConfig, EvaluateConfig, TrainConfig, parse_data
from trainer.runs.copies import fetch_run
from trainer.runs.settings import load_train_config, require_run


@dataclass(frozen=True)
class Command:
    """One command: its settings, its work, and examples for its help."""

    settings: type
    run: Callable[[Any, argparse.Namespace], int]
    help: str
    examples: str
    positional: str = ""  # the setting that is given without an option


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; exit code 2 where the user has to change something."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    command = COMMANDS[arguments.command]
    if rest and rest[0] == "--" and command.settings is TrainConfig:
        arguments.accelerate = rest[1:]
    elif rest:
        parser.error(f"unknown arguments for {arguments.command}: {shlex.join(rest)}")

    def run() -> int:
        names = {field.name for field in dataclasses.fields(command.settings)}
        overrides = {name: value for name, value in vars(arguments).items() if name in names}
        load = _load_train if command.settings is TrainConfig else partial(load_settings, command.settings)
        return command.run(load(file=arguments.config, overrides=overrides), arguments)

    with handling_signals(signal.default_int_handler, numbers=(signal.SIGTERM,)):  # tidy up after either signal
        return exit_code(run, debug=arguments.debug)


def _prepare(config: PrepareConfig, arguments: argparse.Namespace) -> int:
    return run_part(module_argv("spark_jobs.prepare", config), arguments, needs="pyspark", extra="spark")


def _load_train(*, file: str | None, overrides: Mapping[str, Any]) -> TrainConfig:
    """The settings of a training; a run that is to be resumed and is not here is fetched first."""
    match given_settings(file=file, overrides=overrides):
        case {"resume": True, "run": str(run), "copy_to": str(copy_to)}:
            fetch_run(copy_to, Path(run))
    return load_train_config(file=file, overrides=overrides)


def _train(config: TrainConfig, arguments: argparse.Namespace) -> int:
    for text in config.data:
        read_manifest(parse_data(text)[0])
    num_processes, gpus = arguments.num_processes, 0 if arguments.cpu else count_gpus()
    if num_processes is not None and num_processes < 1:
        raise UserError(f"num_processes = {num_processes}, expected at least 1")
    if warning := crowd_text(num_processes or 1, gpus=gpus):
        print(f"warning: {warning}", file=sys.stderr)
    argv = train_argv(
        config, num_processes=num_processes or max(1, gpus), use_cpu=not gpus, accelerate=arguments.accelerate
    )
    environment = {} if gpus else {"ACCELERATE_USE_CPU": "true"}
    return run_part(argv, arguments, needs="torch", extra="train", environment=environment)


def _ask(config: AskConfig, arguments: argparse.Namespace) -> int:
    require_run(Path(config.run))
    return run_part(module_argv("trainer.answers.answer", config), arguments, needs="torch", extra="train")


def _evaluate(config: EvaluateConfig, arguments: argparse.Namespace) -> int:
    require_run(Path(config.run))
    return run_part(module_argv("trainer.answers.evaluate", config), arguments, needs="torch", extra="train")


def _demo(config: demo.DemoConfig, _: argparse.Namespace) -> int:
    require_installed("pyspark", "spark")
    require_installed("torch", "train")  # said before half of the work is done
    return demo.run(config, main)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="vitrine",
        description="Turns a product catalogue into a model that describes any product from its title.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vitrine {version('vitrine')}")
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
        if command.positional:
            texts = {field.name: field.metadata["help"] for field in dataclasses.fields(command.settings)}
            sub.add_argument(command.positional, help=texts[command.positional])
        add_options(sub, command.settings, without=(command.positional,))
        if command.settings is TrainConfig:
            sub.add_argument("--num-processes", type=int, metavar="N", help="processes, one a GPU (default: all GPUs)")
            sub.add_argument("--cpu", action="store_true", help="leave the GPUs alone")
        if command.settings in (PrepareConfig, TrainConfig, AskConfig, EvaluateConfig):  # those that start an engine
            sub.add_argument("--dry-run", action="store_true", help="print what would run, and run nothing")
        sub.add_argument("--debug", action="store_true", help="show where in the code an error comes from")
        sub.set_defaults(accelerate=[])
    return parser


COMMANDS = {
    "synth": Command(
        SynthOptions,
        run_synthesis,
        "write a catalogue of made-up products, with all the dirt of a real one",
        "  vitrine synth --rows 250000 --seed 1 --output catalogue.json.gz",
    ),
    "prepare": Command(
        PrepareConfig,
        _prepare,
        "clean a catalogue and write it as shards with a manifest, on Spark",
        "  vitrine prepare --input trn.json.gz --output data\n"
        "  vitrine prepare --input 's3://bucket/raw/*.json' --output s3://bucket/data --on spark://host:7077",
    ),
    "inspect": Command(
        inspection.InspectConfig,
        lambda config, _: inspection.run(config),
        "show what a prepared data set holds",
        "  vitrine inspect data --records 3\n"
        "  vitrine inspect data --records 3 --split val\n"
        "  vitrine inspect s3://bucket/data --json",
        positional="data",
    ),
    "verify": Command(
        verification.VerifyConfig,
        lambda config, _: verification.run(config),
        "read a prepared data set again and check every law of it; exit code 1 if one is broken",
        "  vitrine verify data\n  vitrine verify s3://bucket/data --json",
        positional="data",
    ),
    "train": Command(
        TrainConfig,
        _train,
        "train a 4-bit base with LoRA on prepared shards, on Accelerate",
        "  vitrine train --data data --run runs/first\n"
        "  vitrine train --data s3://bucket/data --run runs/first --num-processes 4\n"
        "  vitrine train --data data --run runs/first --resume\n"
        "  vitrine train --data data --run runs/first -- --main_process_port 29501   (after --: to accelerate launch)",
    ),
    "ask": Command(
        AskConfig,
        _ask,
        "ask a trained model about a product",
        "  vitrine ask --run runs/first 'What is Girls Ballet Tutu Neon Blue?'",
        positional="question",
    ),
    "evaluate": Command(
        EvaluateConfig,
        _evaluate,
        "compare answers before and after training with the true descriptions",
        "  vitrine evaluate --run runs/first --seen 10 --unseen 5",
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
