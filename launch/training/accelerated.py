"""Runs `accelerate launch` without its crash report when a rank has already printed a one-line error."""

import logging
import os
import runpy
import signal
import sys
from typing import Final

from command.caller import is_reported, report_crash
from command.entry import USER_ERROR_CODE

# The loggers by which torch 2.11 reports a process that failed, and the others that it then ends.
_LOGGERS: Final = (
    "torch.distributed.elastic.multiprocessing.api",
    "torch.distributed.elastic.agent.server.api",
    "torch.distributed.elastic.agent.server.local_elastic_agent",
)


def main() -> None:
    """Runs Accelerate's own command with the arguments of this one. A crash is reported as usual."""
    # A stopped training writes a checkpoint first, so this process and torch's agent wait for it. A handler of Python's
    # is not inherited by the processes that they start; those choose for themselves.
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGQUIT")
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(lambda _: not is_reported())
    try:
        runpy.run_module("accelerate.commands.launch", run_name="__main__", alter_sys=True)
    except Exception:
        if not is_reported():
            report_crash()
            raise
        sys.exit(USER_ERROR_CODE)  # any code but 0: the command knows the right one


if __name__ == "__main__":
    main()
