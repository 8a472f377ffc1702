"""Runs a part of Vitrine in processes of its own, passes signals on, and reports how it ended."""

import argparse
import contextlib
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping

from command.caller import CALLER, calling, is_crash_told, tell, told_code
from command.entry import USER_ERROR_CODE
from contract.errors import UserError
from launch.commands import in_one_line


def run_part(
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
    require_installed(needs, extra)
    with calling() as told:
        defaults = {
            # Threads of a CPU that wait for each other by spinning take the processor from whoever they wait for.
            "OMP_WAIT_POLICY": "PASSIVE",
            # Or a random.py in the user's folder would be imported in place of Python's.
            "PYTHONSAFEPATH": "1",
        }
        code = run_passing_signals(
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


def require_installed(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed; from the project's folder: pip install '.[{extra}]'")


def run_passing_signals(argv: list[str], environment: Mapping[str, str]) -> int:
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
