"""A service that is up, and a way to run one command beside it and wait for its end."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

__all__ = ["PYTHON", "SCRIPT", "URL", "run"]

_listener = socket.create_server(("127.0.0.1", 0))
URL = f"http://127.0.0.1:{_listener.getsockname()[1]}/health/liveness"
PYTHON = sys.executable
SCRIPT = str(Path(PYTHON).with_name("svcready"))


def run(*words: str) -> None:
    """Run a command, which must succeed."""
    child = os.posix_spawn(words[0], words, os.environ)
    _, status = os.waitpid(child, 0)
    if status != 0:
        msg = f"{words[0]} ended with {os.waitstatus_to_exitcode(status)}"
        raise ImportError(msg)


def _answer() -> None:
    while True:
        connection, _ = _listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n"
                b'{"status":"pass"}'
            )


threading.Thread(target=_answer, daemon=True).start()
