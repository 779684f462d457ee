"""Opens the operators' own port and tells why where it cannot be had."""

from __future__ import annotations

import errno
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from svcready._runtime._runtime import Runtime

__all__ = ["Port", "open_port"]


class Port(Protocol):
    """A port of our own."""

    def close(self) -> None:
        """Listen no more."""
        ...

    def forget(self) -> None:
        """Let go of it in a forked child."""
        ...


def open_port(runtime: Runtime) -> Port | None:
    """
    Serve *runtime*'s operators on the port that SVCREADY_ADMIN_PORT names.

    Returns:
        None if it cannot be had, which the start line tells.
    """
    admin = runtime.settings.admin
    port = f"port {admin.port} for operators"
    try:
        # By name, because the surface lies above the runtime, as adapters do.
        opened: Port = import_module("svcready.admin").open_port(runtime)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            runtime.notice(f"{port} is in use, by another worker or by a stranger")
        else:
            runtime.note(f"{port} cannot be had: {error.strerror or error}")
    except ValueError as error:  # a host's name that cannot be encoded
        runtime.note(f"{port} cannot be had on {admin.host!r}: {error}")
    else:
        return opened

    return None
