"""A service as a real process: started, asked, read, and always ended."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

__all__ = [
    "DEADLINE_S",
    "ROOT",
    "Answer",
    "Ending",
    "Service",
    "eventually",
    "free_port",
    "sample_of",
]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
"""What is waited for at most, on however busy a machine."""

_NOT_FOR_CLIENTS = range(15_000, 32_000)
_PORTS = iter(random.SystemRandom().sample(_NOT_FOR_CLIENTS, len(_NOT_FOR_CLIENTS)))
_PAUSE = threading.Event()
T = TypeVar("T")
Line = dict[str, object]


def eventually(ask: Callable[[], T], what: str, within_s: float = DEADLINE_S) -> T:
    """
    Return the first truthy answer of *ask*.

    Real processes give no signal when they are done with something, so they are asked
    again and again; nothing here waits longer than it must.
    """
    ends_s = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < ends_s, f"{what}: not within {within_s:g} s"
        _PAUSE.wait(0.01)

    return answer


def free_port() -> int:
    """
    Return a port that is free, and stays so until somebody listens there.

    Those that the kernel picks for clients could be taken in between; and those that
    other test processes were given, they keep by a lock as long as they live.
    """
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            probe.bind(("", port))
            return port

    pytest.fail("every port was given once")


@functools.cache
def _claims() -> int:
    """Return the file of which who claims a port locks the byte of its number."""
    name = f"svcready-test-ports-{os.getuid()}"
    path = Path(tempfile.gettempdir(), name)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class Answer(NamedTuple):
    """A response over a connection of its own or of one worker's."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Ending(NamedTuple):
    """How a service ended."""

    code: int
    took_s: float


class Service:
    """
    One service under one server.

    Args:
        command: The server's command line; `{port}` stands for the port.
        directory: Where its output goes.
        workers: How many processes serve.
        environ: Its variables, beside those of a bare shell.
        cwd: Where it runs.
    """

    def __init__(
        self,
        command: list[str],
        directory: Path,
        *,
        workers: int = 1,
        environ: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workers = workers
        self.command = [part.format(port=self.port) for part in command]
        self._out = directory / "stdout"
        self._err = directory / "stderr"
        self._cwd = cwd
        self._environ = {
            **{k: v for k, v in os.environ.items() if k.startswith(_KEPT)},
            "PYTHONUNBUFFERED": "1",
            # Tests ask probes, so that each end would take it; those of the drain say.
            "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "0",
            **(environ or {}),
        }
        self._connections: dict[int, http.client.HTTPConnection] = {}
        self._answered: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=self.url, timeout=10, trust_env=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.launch()
        try:
            eventually(self._answers, "the service answers", 30)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for anything."""
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                cwd=self._cwd,
                env=self._environ,
                stdout=out,
                stderr=err,
                start_new_session=True,  # so that its workers can be ended with it
            )

        return self._process

    def _answers(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"ended with {code}:\n{self.output}\n{self.errors}"
        try:
            return self.get("/health/liveness").status < 500
        except OSError:
            return False

    def wait(self, within_s: float = DEADLINE_S) -> int:
        """Wait for the process to end by itself and return its code."""
        assert self._process is not None
        return self._process.wait(within_s)

    def terminate(self, within_s: float = 30.0) -> Ending:
        """Send SIGTERM to the server, as a platform does, and wait for its end."""
        assert self._process is not None
        self._close_connections()
        began_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(within_s)
        return Ending(code, time.monotonic() - began_s)

    def signal_term(self, number: int = signal.SIGTERM) -> bool:
        """Send SIGTERM and do not wait; tells whether the process was still there."""
        assert self._process is not None
        there = self._process.poll() is None
        self._process.send_signal(number)
        return there

    def signal_group(self) -> None:
        """Send SIGTERM to all its processes, as dumb-init or systemd do."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End whatever is left of it."""
        self._close_connections()
        self.client.close()
        if self._process is None:
            return

        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(12)

        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask over a connection of its own, so that any worker may answer."""
        with contextlib.closing(self._connect()) as connection:
            return self._ask(connection, path, headers)

    def raw(self, request: bytes) -> bytes:
        """Send bytes as they are and return all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as line:
            line.settimeout(10)
            line.sendall(request)
            parts = []
            with contextlib.suppress(ConnectionResetError):
                while part := line.recv(65536):
                    parts.append(part)

            return b"".join(parts)

    @property
    def output(self) -> str:
        """All of standard output, as text."""
        return self._out.read_bytes().decode("utf-8", "backslashreplace")

    @property
    def errors(self) -> str:
        """All of standard error, as text."""
        return self._err.read_bytes().decode("utf-8", "backslashreplace")

    @property
    def lines(self) -> list[Line]:
        """Return every complete line of the log; each is one JSON object."""
        return [line for line in self._objects() if "log_type" not in line]

    @property
    def audit_entries(self) -> list[Line]:
        """Return every complete entry of the audit log."""
        return [line for line in self._objects() if "log_type" in line]

    def _objects(self) -> list[Line]:
        whole, _, _ = self._out.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.split(b"\n") if line]

    def lines_of(self, request_id: str) -> list[Line]:
        """Return the lines that carry a request's id."""
        return [line for line in self.lines if line.get("request_id") == request_id]

    def access_lines(self, request_id: str) -> list[Line]:
        """Return the access lines of a request, once there is one."""

        def found() -> list[Line]:
            return [line for line in self.lines_of(request_id) if "http" in line]

        return eventually(found, f"an access line of {request_id}")

    def access_line(self, request_id: str) -> Line:
        """Return the one access line of a request."""
        (line,) = self.access_lines(request_id)
        return line

    def settle(self) -> None:
        """
        Wait until the server is done with every request that it has answered.

        A response is out before its request is counted, and its access line is written
        after that.
        """
        answered, self._answered = self._answered, set()

        def done() -> bool:
            written = {line.get("request_id") for line in self.lines if "http" in line}
            return answered <= written

        eventually(done, "an access line of each request")

    def logged(self, message: str) -> list[Line]:
        """Return the lines with a message, once there is one."""

        def found() -> list[Line]:
            return [line for line in self.lines if line["message"] == message]

        return eventually(found, f"a line {message!r}")

    @property
    def started_lines(self) -> list[Line]:
        """Return the start lines so far, one per worker."""
        return [line for line in self.lines if line.get("event") == "svcready.started"]

    def worker_pids(self) -> list[int]:
        """Return the processes that serve, each of which answered once."""
        self._find_workers()
        return sorted(self._connections)

    def forget_workers(self) -> None:
        """Look anew for the processes that serve; one of them was ended."""
        self._close_connections()

    def on_worker(self, pid: int, path: str) -> Answer:
        """Ask one worker."""
        self._find_workers()
        try:
            return self._ask(self._connections[pid], path)
        except (OSError, http.client.HTTPException):  # it was idle for too long
            self._connections.pop(pid).close()
            self._find_workers()
            return self._ask(self._connections[pid], path)

    def total(self, name: str, /, **labels: str) -> float:
        """
        Return the sum of a sample over the whole service.

        Who is scraped publishes first, so the last of the pages has it all.
        """
        *_, last = [self.on_worker(pid, "/metrics") for pid in self.worker_pids()]
        return sample_of(last.body, name, **labels)

    def _find_workers(self) -> None:
        def found() -> bool:
            spare: list[http.client.HTTPConnection] = []
            missing = self.workers - len(self._connections)
            for connection in [self._connect() for _ in range(8 * missing)]:
                pid = json.loads(self._ask(connection, "/who").body)["pid"]
                if self._connections.setdefault(pid, connection) is not connection:
                    spare.append(connection)

            for connection in spare:
                connection.close()

            return len(self._connections) == self.workers

        eventually(found, f"{self.workers} workers answer")

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        if "x-request-id" in names:
            self._answered.add(names["x-request-id"])

        return Answer(response.status, names, response.read())

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.connect()
        return connection

    def _close_connections(self) -> None:
        for connection in self._connections.values():
            connection.close()

        self._connections.clear()


_KEPT = ("PATH", "HOME", "LANG", "LC_", "TMP", "VIRTUAL_ENV", "COVERAGE_")


def sample_of(page: bytes, sample_name: str, /, **labels: str) -> float:
    """Return the sum of a sample of a page of Prometheus's text; 0 if it is absent."""

    def values() -> Iterator[float]:
        for family in text_string_to_metric_families(page.decode()):
            for sample in family.samples:
                if (
                    sample.name == sample_name
                    and labels.items() <= sample.labels.items()
                ):
                    yield sample.value

    return sum(values())
