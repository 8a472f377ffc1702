"""Runs a module of Vitrine in processes of its own, passes signals on, and reports how it ended."""

import contextlib
import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from signal import SIGINT, SIGKILL, SIGTERM
from types import FrameType
from typing import Final, NoReturn

from command.caller import CALLER, STOPPED, calling, is_crash_reported, is_explained, report, reported_code
from command.entry import USER_ERROR_CODE
from command.signals import handling_signals
from contract.errors import UserError
from contract.installation import install_text
from launch.argv import in_one_line

_DEFAULTS: Final = {
    # Threads of a CPU that wait for each other by spinning take the processor from the thread they wait for.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Or a random.py in the user's folder would be imported in place of Python's.
    "PYTHONSAFEPATH": "1",
}


def run_module(
    argv: list[str],
    *,
    command: str,
    dry_run: bool,
    needs: tuple[str, str],
    environment: Mapping[str, str] | None = None,
    advice: str = "",
) -> int:
    """Runs a module in processes of its own and returns its exit code; in a dry run, prints its command instead.

    UserError where a package is missing: `needs` names it, and the project's extra that installs it. `command` and
    `advice` stand in the message that it was killed.
    """
    if dry_run:
        print(shlex.join(argv))
        return 0
    require_installed(*needs)
    return run_explaining(
        run_passing_signals, in_one_line(argv), command=command, environment=environment or {}, advice=advice
    )


def become_module(argv: list[str]) -> NoReturn:
    """Runs a module in place of this process, which keeps its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(argv[0], argv, {**_DEFAULTS, **os.environ})


def run_explaining(
    run: Callable[[list[str], Mapping[str, str]], int],
    argv: list[str],
    *,
    command: str,
    environment: Mapping[str, str],
    advice: str = "",
) -> int:
    """The exit code of a module that `run` runs in this environment; prints why it ended where it could not say so."""
    with calling() as path:
        code = run(argv, {**_DEFAULTS, **os.environ, **environment, CALLER: str(path)})
        # With USER_ERROR_CODE, Accelerate has refused its own options and printed why.
        if code not in (0, USER_ERROR_CODE) and reported_code(path) is None and not is_crash_reported(path):
            is_asked = code in (128 + SIGINT, 128 + SIGTERM)  # by a person or a scheduler
            guess = "" if is_asked else ", most often by the system for lack of memory"
            print(f"error: {command} was ended from outside (exit code {code}){guess}{advice}", file=sys.stderr)
        # A launcher between this process and the module may change the module's exit code.
        return reported_code(path) or code if code else 0


def require_installed(package: str, extra: str) -> None:
    """Raises UserError where a package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed; {install_text(extra)}")


def run_passing_signals(argv: list[str], environment: Mapping[str, str]) -> int:
    """Runs a command and returns its exit code. A signal stops all its processes; the code is then 128 + signal.

    They get SIGTERM, and may end their work first. The third signal ends them at once.
    """
    process = subprocess.Popen(argv, env=environment, start_new_session=True)
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        report(128 + number, STOPPED, environment)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, SIGTERM if len(received) < 3 else SIGKILL)

    with handling_signals(stop):
        code = process.wait()
    if received:
        if not is_explained(environment):
            print(STOPPED, file=sys.stderr)
        return 128 + received[0]
    return 128 - code if code < 0 else code
