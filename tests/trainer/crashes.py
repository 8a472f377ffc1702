"""Work that is killed by SIGKILL just before one of its changes to a folder, at each of them in turn."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

_CHANGES: Final = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "shutil.rmtree"}
_MOST: Final = 500  # changes: work that never ends must fail, not hang


def kills(work: Callable[[], object], *, folder: Path, prepare: Callable[[], object]) -> Iterator[int]:
    """The number of each change to the folder before which the work was killed; `prepare` is done before each try.

    Ends with the try in which the work had no more changes to make, and so came to its end.
    """
    for number in range(1, _MOST):
        prepare()
        is_killed = _killed_before(number, work, folder=folder)
        yield number
        if not is_killed:
            return
    raise AssertionError(f"more than {_MOST} changes")


def _killed_before(number: int, work: Callable[[], object], *, folder: Path) -> bool:
    child = os.fork()
    if child == 0:
        left = number

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if _is_change(event, arguments, folder):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.addaudithook(count)
            work()
            code = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()  # nothing of what the parent does may go on in the child
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
    return status != 0


def _is_change(event: str, arguments: tuple[Any, ...], folder: Path) -> bool:
    if event == "open":
        path, mode, flags = arguments
        # What is opened by number has been opened before, and Python tells of no flags where C opens a file.
        is_change = bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else "r" not in (mode or "r")
        return is_change and str(path).startswith(str(folder))
    return event in _CHANGES and any(str(each).startswith(str(folder)) for each in arguments)
