"""No connection leaves this machine while tests run.

`install()` makes every other `connect()` fail. Processes that tests start obey too
when this folder is first on their PYTHONPATH: Python imports `sitecustomize` itself.
"""

import ipaddress
import socket
from typing import Any

outside: list[object] = []
"""Addresses that somebody tried, even where the error was caught."""

_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


class OutsideTrafficError(RuntimeError):
    """Not an OSError: those are caught as ordinary network trouble."""


def is_local(family: int, address: Any) -> bool:
    """Whether the address is a unix socket or a loopback one."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return family == socket.AF_UNIX
    host = str(address[0])
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:  # a name: whatever it means, it is not here
        return False


def _check(family: int, address: Any) -> None:
    if not is_local(family, address):
        outside.append(address)
        raise OutsideTrafficError(f"a test tried to connect to {address!r}")


def _guarded(self: socket.socket, address: Any) -> None:
    _check(self.family, address)
    return _connect(self, address)


def _guarded_ex(self: socket.socket, address: Any) -> int:
    _check(self.family, address)
    return _connect_ex(self, address)


def install() -> None:
    """Guard all sockets of this process, now and later."""
    setattr(socket.socket, "connect", _guarded)  # noqa: B010  typed as read-only
    setattr(socket.socket, "connect_ex", _guarded_ex)  # noqa: B010


install()
