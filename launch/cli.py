"""The `vitrine` command: settings are checked before anything heavy starts, then the part that does the work runs."""

import argparse
import contextlib
import dataclasses
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contract.caller import CALLER, calling, is_crash_told, tell, told_code
from contract.errors import UserError
from contract.manifest import read_manifest
from contract.progress import Progress
from contract.settings import USER_ERROR_CODE, Parser, add_options, exit_code, given_settings, load_settings, setting
from launch import demo, overview, synth, synth_plan, verdict
from launch.commands import in_one_line, module_argv, train_argv
from launch.machine import count_gpus, crowd_text
from spark_jobs.config import PrepareConfig
from trainer.config import AskConfig, EvaluateConfig, TrainConfig, load_train_config, parse_data, require_run
from trainer.copies import fetch_run


@dataclass(frozen=True, kw_only=True)
class SynthOptions:
    """A catalogue of made-up products."""

    output: str = setting(help="file to write; compressed if it ends in .gz")
    rows: int = setting(10_000, help="lines")
    seed: int = setting(0, help="another seed gives other products")
    broken: float = setting(0.0, help="share of lines that are no valid records")
    mean_content_chars: int = setting(619, help="average length of the descriptions")
    overwrite: bool = setting(False, help="replace a file that is there")


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
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop either way, tidy up
        names = {field.name for field in dataclasses.fields(command.settings)}
        overrides = {name: value for name, value in vars(arguments).items() if name in names}
        load = _load_train if command.settings is TrainConfig else partial(load_settings, command.settings)
        return command.run(load(file=arguments.config, overrides=overrides), arguments)

    before = signal.getsignal(signal.SIGTERM)
    try:
        return exit_code(run, debug=arguments.debug)
    finally:
        signal.signal(signal.SIGTERM, before)


def _synth(options: SynthOptions, _: argparse.Namespace) -> int:
    output, progress = Path(options.output), Progress("synth:")
    if output.exists() and not (options.overwrite and output.is_file() and not output.is_symlink()):
        raise UserError(f"{output} is there already: give another name, or --overwrite to replace a file")
    try:
        config = synth_plan.SynthConfig(
            options.rows, options.seed, broken=options.broken, mean_content_chars=options.mean_content_chars
        )
        truth = synth.write_catalogue(
            options.output, config, on_progress=lambda rows: progress.show(rows / options.rows, f"{rows:,} lines")
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot write {options.output}: {error.strerror}") from error
    progress.done(f"{truth['rows_in']:,} lines in {options.output}, {truth['kept']:,} of them to be kept,")
    return 0


def _prepare(config: PrepareConfig, arguments: argparse.Namespace) -> int:
    return _run(module_argv("spark_jobs.prepare", config), arguments, needs="pyspark", extra="spark")


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
    return _run(argv, arguments, needs="torch", extra="train", environment=environment)


def _ask(config: AskConfig, arguments: argparse.Namespace) -> int:
    require_run(Path(config.run))
    return _run(module_argv("trainer.answer", config), arguments, needs="torch", extra="train")


def _evaluate(config: EvaluateConfig, arguments: argparse.Namespace) -> int:
    require_run(Path(config.run))
    return _run(module_argv("trainer.evaluate", config), arguments, needs="torch", extra="train")


def _run(
    argv: list[str],
    arguments: argparse.Namespace,
    *,
    needs: str,
    extra: str,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Runs a part in processes of its own, and returns its exit code."""
    if arguments.dry_run:
        print(shlex.join(argv))
        return 0
    _require_installed(needs, extra)
    with calling() as told:
        defaults = {
            # Threads of a CPU that wait for each other by spinning take the processor from whoever they wait for.
            "OMP_WAIT_POLICY": "PASSIVE",
            # Or a random.py in the user's folder would be imported in place of Python's.
            "PYTHONSAFEPATH": "1",
        }
        code = _run_passing_signals(
            in_one_line(argv), {**defaults, **os.environ, **(environment or {}), CALLER: str(told)}
        )
        # With USER_ERROR_CODE, Accelerate has refused its own options and said why.
        if code not in (0, USER_ERROR_CODE) and told_code(told) is None and not is_crash_told(told):
            resume = "; --resume goes on from its last checkpoint" if arguments.command == "train" else ""
            print(
                f"error: {arguments.command} was ended from outside (exit code {code}), most often by the system for"
                f" lack of memory{resume}",
                file=sys.stderr,
            )
        # A launcher between us and the part may turn its exit code into another.
        return told_code(told) or code if code else 0


def _require_installed(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed; from the project's folder: pip install '.[{extra}]'")


def _demo(config: demo.DemoConfig, _: argparse.Namespace) -> int:
    _require_installed("pyspark", "spark")
    _require_installed("torch", "train")  # said before half of the work is done
    return demo.run(config, main)


def _run_passing_signals(argv: list[str], environment: Mapping[str, str]) -> int:
    """Runs a command; when we are told to stop, all its processes are. Exit code 128 + signal then."""
    process = subprocess.Popen(argv, env=environment, start_new_session=True)
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        tell(128 + number, "stopped", environment)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        print("stopped", file=sys.stderr)
        return 128 + received[0]
    return 128 - code if code < 0 else code


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
        _synth,
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
        overview.InspectConfig,
        lambda config, _: overview.run(config),
        "show what a prepared data set holds",
        "  vitrine inspect data --records 3\n"
        "  vitrine inspect data --records 3 --split val\n"
        "  vitrine inspect s3://bucket/data --json",
        positional="data",
    ),
    "verify": Command(
        verdict.VerifyConfig,
        lambda config, _: verdict.run(config),
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
