"""How a command ends: its exit codes, and one line for each error."""

import os
import sys
from collections.abc import Callable
from typing import Final

from command.caller import is_reported, report, report_crash
from contract.errors import UserError

USER_ERROR_CODE: Final = 2
INTERRUPTED_CODE: Final = 130
BROKEN_PIPE_CODE: Final = 141  # as of a process that SIGPIPE ends
DEBUG: Final = "VITRINE_DEBUG"


def exit_code(command: Callable[[], int | None]) -> int:
    """Runs a command for an entry point and returns its exit code: what it returns, else 0; 2 after a user's mistake.

    Where several processes work for one command, the first prints the error; the others end in silence.
    """
    debug = bool(os.environ.get(DEBUG))
    try:
        return command() or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED_CODE
    except BrokenPipeError:  # whoever reads the output, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain at its exit
        return BROKEN_PIPE_CODE
    except UserError as error:
        if debug:
            report_crash()
            raise
        if report(USER_ERROR_CODE, str(error)):
            print(f"error: {error}\n", end="", file=sys.stderr)  # one write: ranks may print at the same time
        return USER_ERROR_CODE
    except Exception:
        if debug or not is_reported():
            report_crash()
            raise
        return USER_ERROR_CODE
