"""Serves one of the demo's applications under uvicorn, on a socket it inherits."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time

__all__ = ["main", "obey_parent"]

_GRACE_S = 8.0


def main(arguments: list[str]) -> None:
    """
    Serve until told to stop, or until the demo is gone.

    Args:
        arguments: The factory as `module:name`, and the listening socket's descriptor.
    """
    import uvicorn

    factory, descriptor = arguments
    obey_parent()
    server = uvicorn.Server(uvicorn.Config(factory, factory=True, lifespan="on"))
    server.run(sockets=[socket.socket(fileno=int(descriptor))])


def obey_parent() -> None:
    """
    End this process when its standard input does.

    The demo holds the other end, so its death, even by SIGKILL, is seen here.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while os.read(0, 1024):
        pass

    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
