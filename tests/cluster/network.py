"""A network of the tests: machines with addresses of their own that can be cut off, where Linux lets us make them."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

_MASK_BITS: Final = 24


@dataclass(frozen=True)
class Machine:
    """A network namespace with one address, or just an address of the loopback."""

    address: str
    name: str = ""
    link: str = ""  # its end on our side

    @property
    def inside(self) -> tuple[str, ...]:
        """What to put before a command that shall run there."""
        return ("ip", "netns", "exec", self.name) if self.name else ()

    @property
    def has_link(self) -> bool:
        """Whether it is a machine that can be cut off."""
        return bool(self.link)

    def cut(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        assert self.has_link
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """It comes through again; where there is no link, nothing was cut."""
        if self.has_link:
            _ip("link", "set", self.link, "up")


@dataclass(frozen=True)
class Network:
    """Our own address in it, and the machines."""

    address: str
    machines: tuple[Machine, ...]


@contextmanager
def network(num_machines: int) -> Iterator[Network]:
    """So many machines on one bridge, taken away afterwards; where that is not allowed, addresses of the loopback."""
    name = f"vt{secrets.token_hex(3)}"
    prefix = f"198.18.{secrets.randbelow(256)}"  # set aside for tests of network devices
    with ExitStack() as tidying:
        try:
            _ip("link", "add", name, "type", "bridge")
            tidying.callback(_ip, "link", "del", name)
            _ip("addr", "add", f"{prefix}.1/{_MASK_BITS}", "dev", name)
            _ip("link", "set", name, "up")
            made = Network(
                f"{prefix}.1",
                tuple(_add_machine(name, number, f"{prefix}.{number + 11}", tidying) for number in range(num_machines)),
            )
        except PermissionError:
            prefix = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}"  # or runs side by side would meet
            made = Network(f"{prefix}.1", tuple(Machine(f"{prefix}.{number + 11}") for number in range(num_machines)))
        yield made


def _add_machine(bridge: str, number: int, address: str, tidying: ExitStack) -> Machine:
    machine = Machine(address, f"{bridge}m{number}", f"{bridge}l{number}")
    _ip("netns", "add", machine.name)
    tidying.callback(_ip, "netns", "del", machine.name)  # and its link with it
    _ip("link", "add", machine.link, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
    _ip("link", "set", machine.link, "master", bridge, "up")
    _ip("-n", machine.name, "addr", "add", f"{address}/{_MASK_BITS}", "dev", "eth0")
    for device in ("eth0", "lo"):
        _ip("-n", machine.name, "link", "set", device, "up")
    return machine


def _ip(*arguments: str) -> None:
    if shutil.which("ip") is None:
        raise PermissionError("the command 'ip' is not installed")
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if result.returncode:
        raise PermissionError(f"ip {' '.join(arguments)}: {result.stderr.strip()}")
