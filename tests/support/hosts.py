"""Hosts of a network, without machines: network namespaces, joined by a bridge in one more.

Each has an address and a cable that can be pulled. Nothing of this machine's own network is
touched, and nothing is reachable from it. Linux only, and for root only.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

_NETWORK = 0x4000_0000  # CLONE_NEWNET
_RUN = Path("/run/netns")
_OWN = Path("/proc/thread-self/ns/net")
_SUBNET = "10.77.0"


class NoHostsError(Exception):
    """This machine does not let us make hosts; says why."""


@dataclass(frozen=True)
class Host:
    name: str
    address: str
    _switch: str
    _port: str

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread opens or starts meanwhile is on this host."""
        with _OWN.open() as before, (_RUN / self.name).open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def unplug(self) -> None:
        """Nothing arrives any more, in neither direction, and nobody is told."""
        _ip("-n", self._switch, "link", "set", self._port, "down")

    def plug(self) -> None:
        _ip("-n", self._switch, "link", "set", self._port, "up")


@contextmanager
def hosts(*names: str) -> Iterator[tuple[Host, ...]]:
    """Hosts that reach each other, and nothing else. NoHostsError where that cannot be."""
    prefix = f"sb{os.getpid()}"
    switch = f"{prefix}-switch"
    with ExitStack() as stack:
        _require()
        _namespace(switch, stack)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        made = []
        for number, name in enumerate(names, 1):
            host = Host(f"{prefix}-{name}", f"{_SUBNET}.{number}", switch, f"port{number}")
            _namespace(host.name, stack)
            _plugged(host)
            made.append(host)
        yield tuple(made)


def _plugged(host: Host) -> None:
    pair = ("type", "veth", "peer", "name", "eth0", "netns", host.name)
    _ip("-n", host._switch, "link", "add", host._port, *pair)
    _ip("-n", host._switch, "link", "set", host._port, "master", "br0", "up")
    _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", device, "up")


def _namespace(name: str, stack: ExitStack) -> None:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)


def _require() -> None:
    if os.geteuid() != 0:
        raise NoHostsError("Network namespaces are for root: run this as root, or with sudo.")
    if shutil.which("ip") is None:
        raise NoHostsError("The program 'ip' is missing: on Debian and Ubuntu, install iproute2.")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoHostsError(f"'ip {' '.join(words)}' said: {done.stderr.strip()}")


def _enter(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _NETWORK):
        number = ctypes.get_errno()
        raise NoHostsError(f"A network namespace cannot be entered: {os.strerror(number)}")
