"""`accelerate launch`, but for what it says where the user has been told already why it ends."""

import logging
import runpy
import sys
from typing import Final

from command.caller import is_told, tell_crash
from command.entry import USER_ERROR_CODE

# Those of torch 2.11 that tell of processes that ended, and of the others, which they then end.
_LOGGERS: Final = (
    "torch.distributed.elastic.multiprocessing.api",
    "torch.distributed.elastic.agent.server.api",
    "torch.distributed.elastic.agent.server.local_elastic_agent",
)


def main() -> None:
    """Runs Accelerate's own command with the arguments of this one. A crash is told as ever."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(lambda _: not is_told())
    try:
        runpy.run_module("accelerate.commands.launch", run_name="__main__", alter_sys=True)
    except Exception:
        if not is_told():
            tell_crash()
            raise
        sys.exit(USER_ERROR_CODE)  # or whatever: the command knows a better one


if __name__ == "__main__":
    main()
