"""Levels at run time, changed over HTTP under real servers, in all of their workers."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.servers.harness import Service, eventually, free_port
from tests.servers.matrix import SERVERS, Stack, start

TOKEN = {"Authorization": "Bearer the-right-token"}
MANY = pytest.mark.parametrize(
    "stack",
    [
        stack
        for stack in SERVERS
        if stack.name
        in {
            "fastapi-uvicorn-workers",
            "fastapi-gunicorn-asgi-preload",
            "flask-gunicorn",
            "flask-gunicorn-preload",
        }
    ],
    ids=str,
)


def launched(stack: Stack, directory: Path) -> Service:
    """Return a service whose operators have a token and may write DEBUG."""
    return start(
        stack,
        directory,
        SVCREADY_ADMIN_TOKENS="the-right-token",
        SVCREADY_LOG_ALLOW_DEBUG="true",
        SVCREADY_CORE_RUN_DIR=str(directory / "run"),
    )


def change(service: Service, **said: object) -> httpx.Response:
    """Ask any worker for another level."""
    return service.client.post("/admin/loggers", json=said, headers=TOKEN)


def writes_debug(service: Service, pid: int) -> bool:
    """Tell whether a worker writes DEBUG lines now."""
    before = len(debug_lines(service, pid))
    assert service.on_worker(pid, "/who").status == 200
    return len(debug_lines(service, pid)) > before


def writes_no_debug(service: Service, pid: int) -> bool:
    """Tell whether a worker writes no DEBUG lines now."""
    return not writes_debug(service, pid)


def debug_lines(service: Service, pid: int) -> list[object]:
    """Return the DEBUG lines of a worker so far."""
    return [
        line
        for line in service.lines
        if line["message"] == "asked who" and line["context"] == {"pid": pid}
    ]


@MANY
def test_a_level_reaches_all_workers_and_falls_back(
    stack: Stack, tmp_path: Path
) -> None:
    """
    Every worker writes DEBUG within three seconds, and the answer says how many do;
    one that takes the place of a killed worker too, from its first request on; and
    when the time is over none does.
    """
    with launched(stack, tmp_path) as service:
        pids = service.worker_pids()
        assert not any(writes_debug(service, pid) for pid in pids)

        answer = change(service, logger="service", level="DEBUG", ttl="1h")
        assert answer.status_code == 200
        assert answer.json()["workers"] == {"reached": 2, "of": 2}
        for pid in pids:
            eventually(partial(writes_debug, service, pid), "DEBUG lines", 3)

        os.kill(pids[0], signal.SIGKILL)
        service.forget_workers()
        (new,) = {*eventually(service.worker_pids, "a new worker")} - {*pids}
        assert debug_lines(service, new)

        answer = change(service, logger="service", level="DEBUG", ttl="1s")
        assert answer.json()["workers"] == {"reached": 2, "of": 2}
        for pid in (pids[1], new):
            eventually(partial(writes_no_debug, service, pid), "a fall back", 4)


@pytest.mark.parametrize(
    "stack",
    [s for s in SERVERS if s.name in {"fastapi-uvicorn", "flask-gunicorn"}]
    + [s for s in SERVERS if s.framework == "django"],
    ids=str,
)
def test_a_body_reaches_the_surface_whole_and_bounded(
    stack: Stack, tmp_path: Path
) -> None:
    """Every server's way of handing over a body works, and a long one is refused."""
    with launched(stack, tmp_path) as service:
        assert change(service, logger="x" * 200, level="WARN").status_code == 200
        assert change(service, logger="x" * 70_000, level="WARN").status_code == 413
        assert change(service, logger="service", level="LOUD").status_code == 400
        anonymous = service.client.post("/admin/loggers", json={})
        assert anonymous.status_code == 401
        form = service.client.post("/admin/loggers", data={"a": "b"}, headers=TOKEN)
        assert form.status_code == 415
        gone = service.client.delete(
            "/admin/loggers", params={"name": "x" * 200}, headers=TOKEN
        )
        assert gone.status_code == 200

        found = service.client.get("/admin/loggers?name=root", headers=TOKEN).json()
        assert found == {
            "loggers": [
                {
                    "logger": "root",
                    "level": "INFO",
                    "effective": "INFO",
                    "set_by": "default",
                    "until": None,
                }
            ]
        }


def test_the_operators_own_port_takes_changes(tmp_path: Path) -> None:
    """A service that has no server of its own is tuned over the operator's port."""
    port = free_port()
    (stack,) = (stack for stack in SERVERS if stack.name == "fastapi-uvicorn")
    directory = tmp_path / "run"
    with start(
        stack,
        tmp_path,
        SVCREADY_ADMIN_TOKENS="the-right-token",
        SVCREADY_ADMIN_PORT=str(port),
        SVCREADY_ADMIN_HOST="127.0.0.1",
        SVCREADY_CORE_RUN_DIR=str(directory),
    ) as service:
        url = f"http://127.0.0.1:{port}/admin/loggers"
        said = {"logger": "service", "level": "ERROR"}
        answer = service.client.post(url, json=said, headers=TOKEN)

        assert answer.status_code == 200
        assert answer.json()["workers"] == {"reached": 1, "of": 1}
        assert change(service, **said).status_code in {404, 405}
        long = {**said, "logger": "x" * 70_000}
        assert service.client.post(url, json=long, headers=TOKEN).status_code == 413
        assert service.client.delete(url, headers=TOKEN).status_code == 400
        assert not list(directory.glob("group-*"))
