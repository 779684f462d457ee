from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvicorn

from tests.servers.clients import Load
from tests.servers.harness import Service, eventually
from tests.servers.matrix import often

DELAY_S = 1.0
TIMEOUT_S = 10.0
"""Longer than a busy machine needs to stop a server that waits for nothing."""
PLAN = {
    "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": f"{DELAY_S:g}",
    "SVCREADY_LIFECYCLE_DRAIN_TIMEOUT_S": f"{TIMEOUT_S:g}",
}
_PAUSE = threading.Event()
_ASGI, _WSGI = "tests.servers.apps.drained:app", "tests.servers.apps.drained:flask_app"
_GUNICORN = "gunicorn --bind 127.0.0.1:{port} --no-control-socket --keep-alive 75"
_GUNICORN += " --workers 2"
_THREADS = f"{_GUNICORN} -k gthread --threads 8"
_UVICORN = "uvicorn --port {port} --timeout-keep-alive 75"
_HYPERCORN = "hypercorn --bind 127.0.0.1:{port}"
SERVERS = {
    "uvicorn": f"{_UVICORN} {_ASGI}",
    "uvicorn-workers": f"{_UVICORN} --workers 2 {_ASGI}",
    "gunicorn-sync": f"{_GUNICORN} {_WSGI}",
    "gunicorn-sync-preload": f"{_GUNICORN} --preload {_WSGI}",
    "gunicorn-gthread": f"{_THREADS} {_WSGI}",
    "gunicorn-gthread-preload": f"{_THREADS} --preload {_WSGI}",
    "gunicorn-asgi": f"{_GUNICORN} -k asgi {_ASGI}",
    "gunicorn-asgi-preload": f"{_GUNICORN} -k asgi --preload {_ASGI}",
    "gunicorn-uvicorn": f"{_GUNICORN} -k uvicorn_worker.UvicornWorker {_ASGI}",
    "hypercorn": f"{_HYPERCORN} {_ASGI}",
    "hypercorn-alone": f"{_HYPERCORN} --workers 0 {_ASGI}",
    "hypercorn-workers": f"{_HYPERCORN} --workers 2 {_ASGI}",
}
SOCKETS = ["uvicorn", "gunicorn-asgi", "gunicorn-uvicorn", "hypercorn"]
UVICORN_TELLS = "load_app" in uvicorn.run.__code__.co_names and not any(
    name.startswith("COVERAGE_PROCESS") for name in os.environ
)
"""
Older ones load the application later, and end by a signal that nobody hears; so does
coverage's measuring of subprocesses, which has a handler of its own for that signal.
"""
KEEPS_NOTHING = ("gunicorn-sync", "gunicorn-sync-preload")
"""They close every connection after its response, drain or not."""


def serve(name: str, directory: Path, **environ: str) -> Service:
    """Return the service under a server, whose options may follow; not started yet."""
    name, *options = name.split()
    command = SERVERS[name].split()
    if command[-1] == _WSGI:
        environ = {"ON_FLASK": "1", **environ}

    command += options

    run_dir = directory / "run"
    run_dir.mkdir(mode=0o700, exist_ok=True)
    environ = {**PLAN, "SVCREADY_CORE_RUN_DIR": str(run_dir), **environ}
    workers = 2 if "2" in command else 1
    return Service(command, directory, workers=workers, environ=environ)


def pids(service: Service) -> list[object]:
    """Return the workers, each of which has answered."""
    found: set[object] = set()

    def note() -> None:
        found.add(json.loads(service.get("/plain").body)["pid"])

    def ask() -> bool:
        threads = [threading.Thread(target=note) for _ in range(8)]  # one is busy soon
        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join()

        return len(found) == service.workers

    eventually(ask, "each worker answers")
    return sorted(found, key=str)


def probe_all(service: Service, directory: Path) -> None:
    """Probe until every worker serves and knows of it, as soon happens."""
    if service.workers > 1:
        pids(service)

    def known() -> bool:
        assert service.get("/health/readiness").status == 200
        members = (directory / "run").glob("group-*/members/*")
        knowing = [member for member in members if "probed" in member.read_text()]
        return service.workers == 1 or len(knowing) >= service.workers

    eventually(known, "all workers know of the probes")


def is_ready(service: Service) -> bool:
    """Tell what readiness says."""
    return service.get("/health/readiness").status == 200


def contexts(service: Service, event: str) -> list[dict[str, object]]:
    """Return what the lines of an event say."""
    found = [
        line.get("context", {}) for line in service.lines if line.get("event") == event
    ]
    return [each for each in found if isinstance(each, dict)]


@often(
    "uvicorn",
    "uvicorn-workers",
    "gunicorn-sync",
    "gunicorn-gthread-preload",
    "gunicorn-asgi",
    "gunicorn-uvicorn",
    "hypercorn-workers",
    of=SERVERS,
)
def test_no_request_is_lost_at_sigterm(stack: str, tmp_path: Path) -> None:
    """
    From SIGTERM readiness fails, requests are answered and clients are asked to close
    their connections; who goes within the delay loses nothing.
    """
    delay_s = 3 * DELAY_S  # so that a busy machine's clients are gone in time
    plan = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": f"{delay_s:g}"}
    with serve(stack, tmp_path, **plan) as service, Load(service.port) as load:
        probe_all(service, tmp_path)
        eventually(lambda: load.answered > 50, "requests are answered")
        told_before = load.told_to_close

        service.signal_term()
        began_s = time.monotonic()
        eventually(
            # Workers hear of it one after another.
            lambda: not any(is_ready(service) for _ in range(4 * service.workers)),
            "readiness fails",
            delay_s * 0.6,
        )
        assert service.get("/health/liveness").status == 200
        answered = load.answered

        def served_on() -> bool:
            told = stack in KEEPS_NOTHING or load.told_to_close > 10
            on = told and load.answered > answered + 20
            return on and not is_ready(service)  # one worker may hear of it late

        eventually(served_on, "requests are answered in the delay", delay_s)
        load.stop()
        code = service.wait()

        assert load.failed == []
        assert load.answered > answered
        assert code in {0, -15}  # uvicorn alone ends by the signal
        assert delay_s <= time.monotonic() - began_s < delay_s + TIMEOUT_S
        if stack not in KEEPS_NOTHING:
            assert told_before == 0
            assert load.told_to_close > 10

        plans = contexts(service, "svcready.draining")
        assert len(plans) == service.workers
        assert {plan["timeout_s"] for plan in plans} == {TIMEOUT_S}
        assert "Traceback" not in service.errors + service.output


@often(
    "uvicorn", "gunicorn-sync", "gunicorn-asgi-preload", "hypercorn-alone", of=SERVERS
)
def test_a_slow_request_is_waited_for(stack: str, tmp_path: Path) -> None:
    """A request that lasts longer than the delay is answered."""
    with serve(stack, tmp_path) as service:
        probe_all(service, tmp_path)
        answer = in_background(lambda: service.get("/slow/2.0").status)
        eventually_in_flight(service)
        began_s = time.monotonic()

        service.signal_term()

        assert answer() == 200
        assert service.wait() in {0, -15}
        assert DELAY_S < time.monotonic() - began_s < 2.0 + TIMEOUT_S


@pytest.mark.parametrize(
    "name", ["uvicorn", "gunicorn-gthread", "gunicorn-asgi", "hypercorn"]
)
def test_a_request_without_end_is_cut_and_counted(name: str, tmp_path: Path) -> None:
    """What is in flight when the time is over is cut, and the last lines say so."""
    environ = {"SVCREADY_LIFECYCLE_DRAIN_TIMEOUT_S": "1"}
    with serve(name, tmp_path, **environ) as service:
        probe_all(service, tmp_path)
        # A thread cannot be cut, and is joined.
        slow_s = 8.0 if name == "gunicorn-gthread" else 25.0
        answer = in_background(lambda: service.get(f"/slow/{slow_s}").status)
        eventually_in_flight(service)
        began_s = time.monotonic()

        service.signal_term()
        assert service.wait() in {0, -15}

        if name != "gunicorn-gthread":
            assert time.monotonic() - began_s < slow_s - 5.0

        (cut,) = contexts(service, "svcready.draining.cut")
        assert cut == {"timeout_s": 1.0, "requests": 1}
        if name != "uvicorn" or UVICORN_TELLS:
            assert {"requests": 1} in [
                last.get("cut") for last in contexts(service, "svcready.stopped")
            ]

        answer()


def in_background(ask: Callable[[], int]) -> Callable[[], int | None]:
    """Ask on another thread; what is returned waits for the answer."""
    answers: list[int] = []

    def run() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answers.append(ask())

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> int | None:
        thread.join()
        return answers[0] if answers else None

    return wait


def eventually_in_flight(service: Service) -> None:
    """Wait until a request has begun."""
    eventually(lambda: b"} 1.0\n" in active(service), "a request is in flight")


def active(service: Service) -> bytes:
    """Return the samples of requests in flight."""
    page = service.get("/metrics").body
    lines = [
        x
        for x in page.splitlines(keepends=True)
        if x.startswith(b"http_server_active_requests{")
    ]
    return b"".join(lines)
