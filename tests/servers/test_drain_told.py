"""The drain by other ways than one signal, and who is told of it, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers.clients import Load
from tests.servers.harness import ROOT, Service, eventually
from tests.servers.test_drain import (
    DELAY_S,
    TIMEOUT_S,
    contexts,
    eventually_in_flight,
    in_background,
    is_ready,
    pids,
    probe_all,
    serve,
)

SOCKETS = ["uvicorn", "gunicorn-asgi", "gunicorn-uvicorn", "hypercorn"]
TOKEN = {"SVCREADY_ADMIN_TOKENS": "the-right-token"}
BEARER = {"Authorization": "Bearer the-right-token"}


@pytest.mark.parametrize("name", SOCKETS)
def test_websockets_and_streams_are_told(name: str, tmp_path: Path) -> None:
    """
    Both go on during the delay; after it websockets are closed with 1012, which means
    to come back, and a stream that asks says a last word.
    """
    with serve(name, tmp_path) as service:
        probe_all(service, tmp_path)
        address = f"ws://127.0.0.1:{service.port}/ws"
        stream = service.client.stream("GET", "/events")
        with connect(address, proxy=None) as websocket, stream as events:
            began_s = time.monotonic()
            service.signal_term()
            while time.monotonic() < began_s + DELAY_S / 2:
                websocket.send("still")
                assert websocket.recv(5) == "still"

            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(TIMEOUT_S + 5)

            said = list(events.iter_lines())

        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert said[-2:] == ["data: bye", ""]
        assert service.wait() in {0, -15}
        assert contexts(service, "svcready.draining.cut") == []
        assert "Traceback" not in service.output + service.errors


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-gthread", "hypercorn-alone"])
def test_a_second_sigterm_is_obeyed_at_once(name: str, tmp_path: Path) -> None:
    """It ends the delay, and the server stops in its own way."""
    long = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "20"}
    with serve(name, tmp_path, **long) as service:
        probe_all(service, tmp_path)
        # gunicorn's master passes one on only.
        workers = [int(str(pid)) for pid in pids(service)] if "thread" in name else []
        assert service.signal_term()
        told_s = time.monotonic()
        eventually(lambda: not is_ready(service), "readiness fails")
        if workers:  # one that comes sooner may be the master's own
            eventually(lambda: time.monotonic() > told_s + 3.2, "that is over")

        began_s = time.monotonic()
        for pid in workers:
            os.kill(pid, signal.SIGTERM)

        if not workers:
            service.signal_term()

        assert service.wait() in {0, -15}
        assert time.monotonic() - began_s < 6


@pytest.mark.parametrize(
    "name",
    [
        *("uvicorn-workers", "gunicorn-sync-preload", "gunicorn-gthread"),
        *("gunicorn-asgi", "gunicorn-uvicorn", "hypercorn-workers"),
    ],
)
def test_a_signal_to_the_whole_group_is_one_word(name: str, tmp_path: Path) -> None:
    """What tells the workers besides their master (dumb-init does) ends no delay."""
    delay_s = 3 * DELAY_S  # so that a busy machine's clients are gone in time
    plan = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": f"{delay_s:g}"}
    with serve(name, tmp_path, **plan) as service, Load(service.port) as load:
        probe_all(service, tmp_path)
        began_s = time.monotonic()
        service.signal_group()
        eventually(
            lambda: time.monotonic() > began_s + delay_s / 2, "half of it is over"
        )
        load.stop()

        assert service.wait() in {0, -15}
        assert load.failed == []
        assert delay_s <= time.monotonic() - began_s < delay_s + TIMEOUT_S + 3


@pytest.mark.parametrize("name", ["uvicorn-workers", "gunicorn-asgi"])
def test_one_probe_is_known_to_every_worker_at_once(name: str, tmp_path: Path) -> None:
    """A worker that was not asked itself serves for the delay as well."""
    service = serve(name, tmp_path)
    try:
        service.launch()
        eventually(
            lambda: len(contexts(service, "lifecycle.changed")) == service.workers,
            "all workers are ready",
        )
        assert is_ready(service)
        topics = (tmp_path / "run").glob
        eventually(
            lambda: any(topics("group-*/topics/lifecycle.probed.*")), "it is told", 0.5
        )
        service.signal_term()

        assert service.wait() == 0
        plans = contexts(service, "svcready.draining")
        # Who hears of it from the other has what is left of the same delay.
        delays = [plan["delay_s"] for plan in plans]
        assert delays == pytest.approx([DELAY_S] * service.workers, abs=DELAY_S / 4)
    finally:
        service.kill()


def test_hypercorns_own_patience_is_kept(tmp_path: Path) -> None:
    """Who gives those in flight longer than the drain does has them answered."""
    environ = {"SVCREADY_LIFECYCLE_DRAIN_TIMEOUT_S": "1"}
    with serve("hypercorn --graceful-timeout 20", tmp_path, **environ) as service:
        probe_all(service, tmp_path)
        answer = in_background(lambda: service.get("/slow/7.0").status)
        eventually_in_flight(service)

        service.signal_term()
        assert answer() == 200
        assert service.wait() == 0


def test_sigint_has_no_delay(tmp_path: Path) -> None:
    """Ctrl-C in a terminal ends uvicorn as ever."""
    long = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "20"}
    with serve("uvicorn", tmp_path, **long) as service:
        probe_all(service, tmp_path)
        began_s = time.monotonic()
        service.signal_term(signal.SIGINT)
        service.wait()

        assert time.monotonic() - began_s < 6


def test_sigterm_during_the_start_has_no_delay(tmp_path: Path) -> None:
    """Whoever was never ready has nobody to wait for."""
    long = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "20", "START_TAKES_S": "3"}
    service = serve("uvicorn", tmp_path, **long)
    try:
        service.launch()
        eventually(lambda: "Waiting for application" in service.output, "it starts")
        began_s = time.monotonic()
        service.signal_term()
        assert service.wait() in {0, -15}
        assert time.monotonic() - began_s < 10
    finally:
        service.kill()


@pytest.mark.parametrize(
    ("name", "method"), [("uvicorn", "GET"), ("gunicorn-gthread", "POST")]
)
def test_a_hook_waits_for_the_delay_and_sigterm_does_not_again(
    name: str, method: str, tmp_path: Path
) -> None:
    """
    `/admin/drain` answers when the delay is over; all workers have drained by then, and
    SIGTERM waits for those in flight only.
    """
    delay_s = 4.0
    plan = {**TOKEN, "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": f"{delay_s:g}"}
    with serve(name, tmp_path, **plan) as service:
        probe_all(service, tmp_path)
        began_s = time.monotonic()
        with httpx.Client(base_url=service.url, timeout=20, trust_env=False) as hook:
            content = b"{}" if method == "POST" else None
            headers = {**BEARER, "Content-Type": "application/json"}
            path = "/admin/drain"
            answer = hook.request(method, path, headers=headers, content=content)
            assert (answer.status_code, answer.json()["draining"]) == (200, True)
            assert time.monotonic() - began_s >= delay_s * 0.95
            assert not any(is_ready(service) for _ in range(10))

        ending = service.terminate()
        assert ending.code in {0, -15}
        assert ending.took_s < delay_s * 0.9


def test_a_browser_cannot_have_it_drain(tmp_path: Path) -> None:
    """A GET needs credentials in a header, and nothing that only browsers send."""
    with serve("uvicorn", tmp_path, **TOKEN) as service:
        refused = [
            service.get("/admin/drain").status,
            *(
                service.get("/admin/drain", {**BEARER, name: value}).status
                for name, value in (
                    ("Origin", service.url),
                    ("Sec-Fetch-Site", "same-origin"),
                    ("Cookie", "a=b"),
                )
            ),
        ]

        assert refused == [401, 403, 403, 403]
        assert is_ready(service)


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-gthread"])
def test_the_command_finds_the_service_and_waits(name: str, tmp_path: Path) -> None:
    """
    `svcready drain` has every worker drain and returns after the delay; `--undo` takes
    it back; without a service it says so by its exit code.
    """
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700, exist_ok=True)
    environ = {"SVCREADY_CORE_RUN_DIR": str(run_dir)}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "svcready", "drain", *words],
            env={**os.environ, **environ},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert command().returncode == 3
    with serve(name, tmp_path, **environ) as service:
        probe_all(service, tmp_path)
        pids(service)
        began_s = time.monotonic()
        drained = command()
        took_s = time.monotonic() - began_s
        assert (drained.returncode, drained.stderr) == (0, "")
        assert "draining: drained (process" in drained.stdout
        assert took_s >= DELAY_S
        assert not any(is_ready(service) for _ in range(10))
        assert command("--service", "another").returncode == 3

        undone = command("--undo")

        assert (undone.returncode, undone.stderr) == (0, "")
        assert all(is_ready(service) for _ in range(10))
        service.terminate()
        assert command().returncode == 3


def test_a_file_has_all_workers_drain(tmp_path: Path) -> None:
    """Its presence is enough, and its absence takes it back."""
    file = tmp_path / "drain"
    named = {"SVCREADY_LIFECYCLE_DRAIN_FILE": str(file)}
    with serve("gunicorn-gthread", tmp_path, **named) as service:
        probe_all(service, tmp_path)
        file.touch()
        eventually(lambda: not any(is_ready(service) for _ in range(10)), "all drain")
        file.unlink()
        eventually(lambda: all(is_ready(service) for _ in range(10)), "all are back")


def test_a_reloader_has_no_delay(tmp_path: Path) -> None:
    """At a save nobody waits: uvicorn sends SIGTERM and joins."""
    long = {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "20"}
    service = serve("uvicorn", tmp_path, **long)
    service.command.append("--reload")
    with service:
        probe_all(service, tmp_path)

        assert service.terminate().took_s < 10


def test_runserver_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    """Django's own server, which the signal would end at once, drains as well."""
    command = ["django", "runserver", "--noreload", "127.0.0.1:{port}"]
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.servers.apps.django_settings",
        "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": f"{DELAY_S:g}",
    }
    with Service(command, tmp_path, environ=environ) as service:
        probe_all(service, tmp_path)
        answer = in_background(lambda: len(service.get("/stream").body))
        eventually_in_flight(service)
        began_s = time.monotonic()
        service.signal_term()
        eventually(lambda: not is_ready(service), "readiness fails", DELAY_S / 2)

        assert answer() == 4000
        assert service.wait() == -15
        assert time.monotonic() - began_s >= DELAY_S
