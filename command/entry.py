"""How a command ends: its exit codes, and one line for each error."""

import os
import sys
from collections.abc import Callable
from typing import Final

from command import caller
from contract.errors import UserError

USER_ERROR_CODE: Final = 2
INTERRUPTED_CODE: Final = 130
DEBUG: Final = "VITRINE_DEBUG"


def exit_code(command: Callable[[], int | None], *, debug: bool = False) -> int:
    """Runs a command for an entry point: what it returns, or 0; 2 after a user's mistake, with its message.

    Where it is one of several processes of a command, what one of them has said the others do not say again, nor how
    they fail when it ends.
    """
    try:
        return command() or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED_CODE
    except UserError as error:
        if debug or os.environ.get(DEBUG):
            raise
        if caller.tell(USER_ERROR_CODE, str(error)):
            print(f"error: {error}\n", end="", file=sys.stderr)  # in one write: several ranks may speak at once
        return USER_ERROR_CODE
    except Exception:
        if debug or os.environ.get(DEBUG) or not caller.is_told():
            caller.tell_crash()
            raise
        return USER_ERROR_CODE
