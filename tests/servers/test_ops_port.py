"""The operator's port under real servers: one process has it, and answers for all."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.harness import ROOT, Answer, Service, eventually, free_port
from tests.servers.matrix import chosen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FLASK = "tests.servers.apps.gated_flask:app"
FASTAPI = "tests.servers.apps.gated_fastapi:app"
WRAPPED = "tests.servers.apps.wrapped:app"
DJANGO = "tests.servers.apps.django_app"
ON_WSGI = {"DJANGO_SETTINGS_MODULE": "tests.servers.apps.django_settings"}
ON_ASGI = {**ON_WSGI, "DJANGO_ON_ASGI": "1"}
GUNICORN = ["gunicorn", "--bind", "127.0.0.1:{port}", "--no-control-socket"]
GUNICORN += ["--graceful-timeout", "5", "--timeout", "600"]
GTHREAD = [*GUNICORN, "-k", "gthread", "--threads", "2", "--keep-alive", "75"]
ASGI = [*GUNICORN, "-k", "asgi", "--keep-alive", "75"]
UVICORN_WORKER = [*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "--keep-alive", "75"]
UVICORN = ["uvicorn", "--port", "{port}", "--timeout-keep-alive", "75"]
TOKEN = {"Authorization": "Bearer secret"}

PREFORK = {
    "sync": ([*GUNICORN, "--workers", "3", FLASK], 3),
    "sync-preload": ([*GUNICORN, "--workers", "3", "--preload", FLASK], 3),
    "gthread": ([*GTHREAD, "--workers", "3", FLASK], 3),
    "gthread-preload": ([*GTHREAD, "--workers", "3", "--preload", FLASK], 3),
    "asgi": ([*ASGI, "--workers", "2", FASTAPI], 2),
    "asgi-preload": ([*ASGI, "--workers", "2", "--preload", FASTAPI], 2),
    "uvicorn-worker": ([*UVICORN_WORKER, "--workers", "2", FASTAPI], 2),
    "uvicorn": ([*UVICORN, "--workers", "2", FASTAPI], 2),
    "django-gunicorn": ([*GTHREAD, "--workers", "2", DJANGO], 2),
    "wrapped-preload": ([*GTHREAD, "--workers", "2", "--preload", WRAPPED], 2),
    "django-uvicorn": ([*UVICORN, "--workers", "2", f"{DJANGO}:application"], 2),
}
ENVIRON = {"django-gunicorn": ON_WSGI, "django-uvicorn": ON_ASGI}


class Operated(Service):
    """A service with a port for operators, which is all that a test asks at first."""

    def __init__(
        self,
        command: list[str],
        directory: Path,
        workers: int = 1,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.ops = free_port()
        self.gate = directory / "gate"
        run = directory / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        super().__init__(
            command,
            directory,
            workers=workers,
            environ={
                "SVCREADY_ADMIN_PORT": str(self.ops),
                "SVCREADY_ADMIN_HOST": "127.0.0.1",
                "SVCREADY_ADMIN_TOKENS": "secret",
                "SVCREADY_CORE_RUN_DIR": str(run),
                "GATE": str(self.gate),
                **(environ or {}),
            },
        )

    def _answers(self) -> bool:
        """Ask the operators' port alone: nothing else tells a worker to begin."""
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"ended with {code}:\n{self.output}\n{self.errors}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.operators("/health/readiness").status == 200

        return False

    def operators(self, path: str, within_s: float = 10.0) -> Answer:
        """Ask the operators' port."""
        line = http.client.HTTPConnection("127.0.0.1", self.ops, timeout=within_s)
        with contextlib.closing(line):
            return self._ask(line, path, TOKEN)

    def status(self, probe: str) -> int:
        """Ask for a probe; 0 if nobody answers."""
        try:
            return self.operators(f"/health/{probe}").status
        except (OSError, http.client.HTTPException):
            return 0

    def told_workers(self) -> list[dict[str, object]]:
        """Return what the deep report says of the workers."""
        report = json.loads(self.operators("/admin/health").body)
        found: list[dict[str, object]] = report.get("workers", [])
        return found

    def owner(self) -> int:
        """Return who listens on the operators' port: one process, by the kernel."""
        # What the kernel lists changes while it is read, so a socket can be missed.
        (owner,) = eventually(self.owners, "somebody listens", 1)
        return owner

    def owners(self) -> list[int]:
        """Return everybody who has the socket that listens."""
        inode = _listening_inode(self.ops)
        return [] if inode is None else _holders(inode, self.family())

    def family(self) -> list[int]:
        """Return the server's processes, its master first."""
        assert self._process is not None
        group, found = self._process.pid, []
        for path in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if path.name.isdecimal() and os.getpgid(int(path.name)) == group:
                    found.append(int(path.name))

        return sorted(found, key=lambda pid: pid != group)

    def open_files(self) -> int:
        """Return how many files all its processes have open together."""
        return sum(
            len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.family()
        )

    @property
    def master(self) -> int:
        """The process that was started."""
        assert self._process is not None
        return self._process.pid


def _listening_inode(port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
            return fields[9]

    return None


def _holders(inode: str, family: list[int]) -> list[int]:
    found = []
    for pid in family:
        held = set()
        with contextlib.suppress(OSError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # it may be closed meanwhile
                    held.add(str(fd.readlink()))

        if f"socket:[{inode}]" in held:
            found.append(pid)

    return found


OFTEN = ("sync", "wrapped-preload", "asgi-preload", "uvicorn-worker", "uvicorn")


@pytest.fixture(params=chosen(*OFTEN, of=PREFORK))
def prefork(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Operated]:
    """Several workers, nobody of whom has been asked anything."""
    command, workers = PREFORK[request.param]
    environ = ENVIRON.get(request.param, {})
    with Operated(command, tmp_path, workers, environ) as running:
        yield running


def test_one_worker_has_the_port_and_another_takes_it_over(prefork: Operated) -> None:
    """
    A worker has it, never the master, and answers for all; when it is killed another
    has it within two seconds, though no request has come to the application's port.
    """

    def all_ready() -> bool:
        with contextlib.suppress(OSError):  # it is handed on as they start
            states = [worker["state"] for worker in prefork.told_workers()]
            return states == ["ready"] * prefork.workers

        return False

    eventually(all_ready, "all workers are ready")
    open_files = prefork.open_files()
    threading.Event().wait(3)  # those without the port look for it as often
    assert prefork.open_files() <= open_files + 2 * prefork.workers
    first = prefork.owner()
    assert first != prefork.master

    os.kill(first, signal.SIGKILL)
    killed_s = time.monotonic()
    eventually(lambda: prefork.status("liveness") == 200, "another answers", 3)
    took_s = time.monotonic() - killed_s

    assert prefork.owner() not in {first, prefork.master}
    assert took_s < 2.5
    assert prefork.status("readiness") == 200
    # Its supervisor starts another one, which has its place among them.
    eventually(all_ready, "all again", 20)
    assert first not in {worker["pid"] for worker in prefork.told_workers()}
    assert "in use" not in prefork.output
    page = prefork.operators("/metrics").body.decode()
    assert "svcready_internal_errors_total{" not in page


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_a_busy_worker_still_answers_operators(kind: str, tmp_path: Path) -> None:
    """With every thread of every worker busy, probes and metrics come at once."""
    _answers_while_busy(kind, tmp_path, 1.0)


@pytest.mark.soak
def test_a_worker_busy_for_thirty_seconds_answers_operators(tmp_path: Path) -> None:
    """The same for as long as a request may take."""
    _answers_while_busy("sync", tmp_path, 30.0)


def _answers_while_busy(kind: str, directory: Path, busy_s: float) -> None:
    command = [*GUNICORN, FLASK] if kind == "sync" else [*GTHREAD, FLASK]
    with Operated(command, directory) as service:
        threads = 1 if kind == "sync" else 2
        lines = [_send(service, "/gated") for _ in range(threads)]
        name = "http_server_active_requests"

        def all_busy() -> bool:
            page = service.operators("/metrics").body.decode()
            return any(
                line.startswith(name) and line.endswith(f" {threads}.0")
                for line in page.splitlines()
            )

        eventually(all_busy, "every thread is busy")
        # A further request waits: nobody answers on the application's own port.
        waiting = _send(service, "/who")
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(1)

        took: list[float] = []
        ends_s = time.monotonic() + busy_s
        while time.monotonic() < ends_s:
            for path in ("/health/liveness", "/metrics"):
                began_s = time.monotonic()
                assert service.operators(path).status == 200
                took.append(time.monotonic() - began_s)

        service.gate.touch()
        for line in (*lines, waiting):
            line.settimeout(10)
            assert line.recv(12) == b"HTTP/1.1 200"
            line.close()

    took.sort()
    assert took[len(took) // 2] < 0.05


def _send(service: Service, path: str) -> socket.socket:
    # uvicorn listens some milliseconds after the application's start is complete.
    eventually(lambda: _listening_inode(service.port), "it listens")
    line = socket.create_connection(("127.0.0.1", service.port), 10)
    line.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    return line


def test_a_blocked_event_loop_fails_liveness(tmp_path: Path) -> None:
    """
    The port's own thread answers, and still says that nobody is served: 503 once the
    limit has passed, one line with the stack of what blocks, and 200 when it moves.
    """
    limit = {"SVCREADY_HEALTH_LOOP_STALL_S": "1.5"}
    with Operated([*UVICORN, FASTAPI], tmp_path, 1, limit) as service:
        assert service.status("liveness") == 200
        line = _send(service, "/gated")
        began_s = time.monotonic()
        eventually(lambda: service.status("liveness") == 503, "liveness fails", 6)
        assert time.monotonic() - began_s > 1.0
        assert service.status("readiness") == 503

        def stalled() -> list[dict[str, object]]:
            return [x for x in service.lines if x.get("event") == "health.stalled"]

        (told,) = eventually(stalled, "a line")
        assert told["level"] == "ERROR"
        context = told["context"]
        assert isinstance(context, dict)
        assert "hold_the_loop" in str(context["stack"])
        page = service.operators("/metrics").body.decode()
        assert 'svcready_health_stalled{what="event loop"} 1.0' in page

        service.gate.touch()
        eventually(lambda: service.status("liveness") == 200, "it recovers", 6)
        line.close()

        def recovered() -> list[dict[str, object]]:
            return [x for x in service.lines if x.get("event") == "health.recovered"]

        (told,) = eventually(recovered, "a line")
        assert told["level"] == "INFO"
        assert len(stalled()) == 1


def test_threads_that_all_hang_fail_liveness(tmp_path: Path) -> None:
    """A worker's threads that end nothing for too long are told, with their stacks."""
    limit = {"SVCREADY_HEALTH_REQUEST_STALL_S": "2"}
    with Operated([*GTHREAD, FLASK], tmp_path, 1, limit) as service:
        first = _send(service, "/gated")
        # One of two hangs: the other one serves, so that the worker lives.
        ends_s = time.monotonic() + 4
        while time.monotonic() < ends_s:
            assert service.status("liveness") == 200

        second = _send(service, "/gated")
        eventually(lambda: service.status("liveness") == 503, "liveness fails", 8)

        def stalled() -> list[dict[str, object]]:
            return [x for x in service.lines if x.get("event") == "health.stalled"]

        (told,) = eventually(stalled, "a line")
        assert str(told["context"]).count("in gated") == 2
        service.gate.touch()
        eventually(lambda: service.status("liveness") == 200, "it recovers", 6)
        first.close()
        second.close()


def test_a_stopped_worker_is_told_by_another(tmp_path: Path) -> None:
    """Of four workers one is stopped: liveness says so, and passes when it goes on."""
    limit = {"SVCREADY_HEALTH_LOOP_STALL_S": "1"}
    command = [*GTHREAD, "--workers", "4", FLASK]
    with Operated(command, tmp_path, 4, limit) as service:
        eventually(lambda: len(service.told_workers()) == 4, "all workers")
        owner = service.owner()
        stopped = next(p for p in service.family()[1:] if p != owner)
        os.kill(stopped, signal.SIGSTOP)
        try:
            eventually(lambda: service.status("liveness") == 503, "it is told", 15)
            assert service.status("readiness") == 200
            (told,) = [w for w in service.told_workers() if w["pid"] == stopped]
            assert told["state"] == "silent"
        finally:
            os.kill(stopped, signal.SIGCONT)

        eventually(lambda: service.status("liveness") == 200, "it goes on", 6)


def test_a_service_that_was_stopped_as_a_whole_is_not_killed(tmp_path: Path) -> None:
    """After SIGSTOP and SIGCONT of all, everything is overdue and nothing hangs."""
    limit = {"SVCREADY_HEALTH_LOOP_STALL_S": "1"}
    command = [*UVICORN, "--workers", "2", FASTAPI]
    with Operated(command, tmp_path, 2, limit) as service:
        eventually(lambda: len(service.told_workers()) == 2, "all workers")
        os.killpg(service.master, signal.SIGSTOP)
        threading.Event().wait(7)  # nothing of it runs that could be asked
        os.killpg(service.master, signal.SIGCONT)
        ends_s = time.monotonic() + 1.5
        while time.monotonic() < ends_s:
            assert service.status("liveness") == 200


def test_a_reload_hands_the_port_on(tmp_path: Path) -> None:
    """At SIGHUP a worker of the new generation has the port when the old ones end."""
    with Operated([*GTHREAD, "--workers", "2", FLASK], tmp_path, 2) as service:
        eventually(lambda: len(service.told_workers()) == 2, "all workers")
        old = {worker["pid"] for worker in service.told_workers()}
        os.kill(service.master, signal.SIGHUP)

        def renewed() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                new = {worker["pid"] for worker in service.told_workers()}
                return len(new) == 2 and not new & old and len(service.owners()) == 1

            return False

        eventually(renewed, "the new generation has it", 20)
        assert service.owner() not in old
        assert service.status("readiness") == 200
        assert "in use" not in service.output


def test_the_end_of_all_is_told_until_it_comes(tmp_path: Path) -> None:
    """At SIGTERM readiness fails, liveness does not; then the port is free."""
    with Operated([*GTHREAD, FLASK], tmp_path) as service:
        line = _send(service, "/gated")
        eventually(
            lambda: b"active_requests" in service.operators("/metrics").body, "busy"
        )
        service.signal_term()
        eventually(lambda: service.status("readiness") in {503, 0}, "readiness fails")
        assert service.status("liveness") in {200, 0}
        service.gate.touch()
        line.close()
        service.wait(20)
        with socket.create_server(("127.0.0.1", service.ops)):
            pass


def test_a_wrapped_callables_drain_is_told(tmp_path: Path) -> None:
    """Where a master called `init()` and wrapped later, the port tells of workers."""
    command = [*GTHREAD, "--workers", "2", "--preload", WRAPPED]
    environ = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "2"}
    with Operated(command, tmp_path, 2, environ) as service:

        def both_work() -> bool:
            with contextlib.suppress(OSError):  # not before the workers listen
                service.get("/health/readiness")  # somebody probes: there is a delay
                return len(service.told_workers()) == 2

            return False

        eventually(both_work, "both work")
        service.signal_term()

        eventually(lambda: service.status("readiness") == 503, "it is told", 1.5)
        service.wait(20)


def test_a_stranger_is_reported_once_and_outlived(tmp_path: Path) -> None:
    """Somebody else has the port: one warning, and it is ours when they are gone."""
    service = Operated([*GTHREAD, "--workers", "3", FLASK], tmp_path, 3)
    holding = (
        "import socket,sys; s=socket.create_server(('127.0.0.1',int(sys.argv[1])))"
    )
    holding += "; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holding, str(service.ops)]
    stranger = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with stranger, contextlib.ExitStack() as stack:
        stack.callback(stranger.kill)
        assert stranger.stdout is not None
        stranger.stdout.readline()
        service.launch()
        stack.callback(service.kill)

        def told() -> list[dict[str, object]]:
            return [x for x in service.lines if x.get("event") == "svcready.ops_port"]

        (line,) = eventually(told, "a warning", 20)
        assert line["level"] == "WARN"
        threading.Event().wait(3)  # the other two have tried as often by now
        assert len(told()) == 1
        stranger.kill()
        eventually(lambda: service.status("liveness") == 200, "it is ours", 5)
        assert len(service.owners()) == 1


def test_the_applications_own_port_is_no_operators_port(tmp_path: Path) -> None:
    """The same number twice is said plainly, and the service serves."""
    for command in ([*GTHREAD, FLASK], [*UVICORN, FASTAPI]):
        directory = tmp_path / command[0]
        directory.mkdir()
        service = Service(command, directory)
        service._environ |= {
            "SVCREADY_ADMIN_PORT": str(service.port),
            "SVCREADY_ADMIN_HOST": "127.0.0.1",
        }
        with service:
            assert service.get("/who").status == 200
            _wait_for_notice(service)


def _wait_for_notice(service: Service) -> None:
    text = "another than the application's own"
    eventually(lambda: text in service.output, "a notice")


def test_a_socket_is_handed_on_as_a_port_is(tmp_path: Path) -> None:
    """A worker that is killed leaves its path behind, which another one replaces."""
    path = tmp_path / "ops.sock"
    environ = {"SVCREADY_ADMIN_SOCKET": str(path), "SVCREADY_ADMIN_PORT": "0"}
    command = [*GTHREAD, "--workers", "2", FLASK]
    service = Operated(command, tmp_path, 2, environ)
    with contextlib.ExitStack() as stack:
        service.launch()
        stack.callback(service.kill)

        def answers() -> bool:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(path))
                line.sendall(b"GET /health/readiness HTTP/1.0\r\n\r\n")
                return line.recv(12) == b"HTTP/1.1 200"

            return False

        def owner() -> int:
            (claim,) = (tmp_path / "run").glob("group-*/metrics/socket.owner")
            return int(claim.read_text().partition("-")[0])

        eventually(answers, "somebody answers", 20)
        first = owner()
        os.kill(first, signal.SIGKILL)
        eventually(answers, "another answers", 4)
        eventually(lambda: owner() != first, "it says so")
        assert owner() != service.master
