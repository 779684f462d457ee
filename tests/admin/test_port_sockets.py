"""The operator's port as the kernel has it: one owner, forks, and Unix sockets."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from svcready.admin import OpsRequest, OpsResponse
from svcready.admin._port._port import OpsPort
from svcready.testing import running
from tests.servers.harness import eventually

REQUEST = b"GET /health/liveness HTTP/1.0\r\n\r\n"


class Surface:
    """Answers a probe."""

    routes = frozenset({"/health/liveness"})

    def __init__(self) -> None:
        self.peers: list[str | None] = []

    def takes_body(self, method: str, path: str) -> bool:
        """Read no bodies."""
        return False

    def answer(self, request: OpsRequest) -> OpsResponse:
        """Answer, and remember who asked."""
        self.peers.append(request.peer)
        return OpsResponse(200, (), b"ok")


def open_at(path: Path | str, surface: Surface | None = None) -> OpsPort:
    """Open a socket."""
    return OpsPort(surface or Surface(), path=str(path))  # type: ignore[arg-type]


def open_on(port: int = 0) -> OpsPort:
    """Open a port."""
    return OpsPort(Surface(), "127.0.0.1", port)  # type: ignore[arg-type]


def ask(path: Path) -> bytes:
    """Ask over a socket."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(str(path))
        line.sendall(REQUEST)
        return b"".join(iter(lambda: line.recv(65536), b""))


def ask_port(port: int) -> bytes:
    """Ask over TCP."""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(REQUEST)
        return b"".join(iter(lambda: line.recv(65536), b""))


def test_a_port_has_one_owner() -> None:
    """Whoever comes second is told that it is in use, until the first has closed."""
    first = open_on()
    with pytest.raises(OSError, match="in use") as told:
        open_on(first.port)

    assert told.value.errno == errno.EADDRINUSE
    with socket.create_connection(("127.0.0.1", first.port), 10):
        first.close()  # with a connection left over

    second = open_on(first.port)
    assert ask_port(second.port).startswith(b"HTTP/1.1 200 ")
    second.close()


def test_an_application_that_closes_every_file_is_noticed() -> None:
    """The port says that it serves no more, and touches nobody else's descriptor."""
    port = open_on()
    number = port._server.socket.fileno()
    os.close(number)
    stranger = os.open(os.devnull, os.O_RDONLY)
    try:
        assert stranger == number
        assert not port.serves
        port.close()
        os.fstat(stranger)  # it is still open
    finally:
        os.close(stranger)


def test_a_fork_leaves_the_port_to_the_parent() -> None:
    """A child that lives on neither keeps the port nor answers on it."""
    port = open_on()
    with socket.create_connection(("127.0.0.1", port.port), 10) as line:
        assert ask_port(port.port).startswith(b"HTTP/1.1 200 ")
        child = os.fork()
        if not child:
            port.forget()
            signal.pause()
            os._exit(0)

        try:
            eventually(lambda: _has_let_go(child, port), "the child lets go")
            assert ask_port(port.port).startswith(b"HTTP/1.1 200 ")
            port.close()
            again = open_on(port.port)
            again.close()
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

        line.settimeout(10)
        assert line.recv(1) == b""


def _has_let_go(child: int, port: OpsPort) -> bool:
    inode = f"socket:[{os.fstat(port._server.socket.fileno()).st_ino}]"
    held = set()
    for number in Path(f"/proc/{child}/fd").iterdir():
        with suppress(OSError):
            held.add(str(number.readlink()))

    return inode not in held


def test_a_socket_is_this_users_only(tmp_path: Path) -> None:
    """Nobody else can connect, and the path is gone with its owner."""
    path = tmp_path / "ops.sock"
    surface = Surface()
    port = open_at(path, surface)

    assert ask(path).startswith(b"HTTP/1.1 200 ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert surface.peers == ["unix"]
    port.close()
    assert not path.exists()


def test_a_socket_that_is_left_over_is_replaced(tmp_path: Path) -> None:
    """A process that was killed leaves its path behind; one that lives keeps it."""
    path = tmp_path / "ops.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))

    port = open_at(path)
    assert ask(path).startswith(b"HTTP/1.1 200 ")
    with pytest.raises(OSError, match="in use") as told:
        open_at(path)

    assert told.value.errno == errno.EADDRINUSE
    assert ask(path).startswith(b"HTTP/1.1 200 ")
    port.close()


def test_a_strangers_socket_is_left_alone(tmp_path: Path) -> None:
    """One on which somebody listens, without our lock, is not replaced."""
    path = tmp_path / "ops.sock"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        with pytest.raises(OSError, match="in use") as told:
            open_at(path)

    assert told.value.errno == errno.EADDRINUSE
    assert path.exists()


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    """A path that is no socket is somebody's file."""
    path = tmp_path / "ops.sock"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        open_at(path)

    assert path.read_text() == "precious"


@pytest.mark.parametrize("kind", ["file", "socket"])
def test_the_socket_serves_the_operators(tmp_path: Path, kind: str) -> None:
    """SVCREADY_ADMIN_SOCKET serves them; what cannot be had is a problem said once."""
    path = tmp_path / "ops.sock"
    if kind == "file":
        path.write_text("precious")

    with running(environ={"SVCREADY_ADMIN_SOCKET": str(path)}) as harness:
        harness.runtime.wake()
        problems = harness.runtime.problems()
        if kind == "file":
            assert any("cannot be had" in problem for problem in problems)
            return

        assert problems == ()
        assert ask(path).startswith(b"HTTP/1.1 200 ")
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(path))
            line.sendall(b"GET /admin/health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            hidden = line.recv(65536)

    assert hidden.startswith(b"HTTP/1.1 404 ")
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_path_that_is_too_long_is_told_by_its_name(tmp_path: Path) -> None:
    """What no socket can be called is a problem of the configuration."""
    environ = {"SVCREADY_ADMIN_SOCKET": f"/{'a' * 120}"}
    with running(environ=environ) as harness:
        problems = harness.runtime.problems()

    assert any("SVCREADY_ADMIN_SOCKET" in problem for problem in problems)
