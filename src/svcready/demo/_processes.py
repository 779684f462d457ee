"""The demo's child processes: started, listened to, and never left behind."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections import deque
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = ["Child", "Children", "listening"]

_GRACE_S = 8.0
_TAIL_LINES = 30


class Child:
    """
    One child process, whose standard output is handed on line by line.

    Args:
        name: What it is called in messages.
        module: The module that it runs, and its arguments.
        environ: Its environment.
        on_line: Takes each line of its standard output, on a thread of its own.
        listener: A listening socket to inherit; its number is the last argument.
    """

    def __init__(
        self,
        name: str,
        module: tuple[str, ...],
        *,
        environ: Mapping[str, str],
        on_line: Callable[[bytes], None],
        listener: socket.socket | None = None,
    ) -> None:
        self.name = name
        descriptors = () if listener is None else (listener.fileno(),)
        # A session of its own: Ctrl-C reaches the demo alone, which ends its children
        # in order. Its standard input tells it if the demo dies first.
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *module, *map(str, descriptors)],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
        )
        if listener is not None:
            listener.close()  # or it would accept on after the child's death

        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._readers = [
            _read(self._process.stdout, on_line),
            _read(self._process.stderr, self._tail.append),
        ]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.poll()

    @property
    def complaint(self) -> str:
        """The last lines of its standard error."""
        return b"".join(self._tail).decode(errors="replace").strip()

    def wait(self, timeout_s: float) -> int | None:
        """Wait until it ends by itself; return its exit code, or None if it did not."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End it, by force if it does not end itself, and read what it said last."""
        if self.ended is None:
            self._process.terminate()
            if self.wait(_GRACE_S) is None:
                self._process.kill()
                self._process.wait()

        for reader in self._readers:
            reader.join(_GRACE_S)

        if self._process.stdin is not None:
            self._process.stdin.close()


class Children:
    """Every child of one demo; leaving the `with` block ends them all."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def add(self, child: Child) -> Child:
        """Take charge of *child*."""
        self._children.append(child)
        return child

    def stop(self) -> None:
        """End all of them, the one that was started last first."""
        while self._children:
            child = self._children[-1]
            child.stop()
            self._children.pop()


def listening() -> tuple[socket.socket, str]:
    """Return a socket that listens on a free port of this machine, and its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def _read(stream: IO[bytes] | None, take: Callable[[bytes], None]) -> threading.Thread:
    assert stream is not None

    def read() -> None:
        with stream:
            for line in stream:
                take(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return reader
