from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.logging.support import START, Line, read, run_script
from tests.servers.harness import free_port

if TYPE_CHECKING:
    from pathlib import Path

ASGI = (
    START
    + """
import sys, time
pillar = start()
access = pillar.access_log()
log = get_logger("shop")

async def bare(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                pillar.unify()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/boom":
        raise ValueError("boom")
    log.info("in the request")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

async def app(scope, receive, send):
    try:
        await bare(scope, receive, send)
    except Exception as error:
        pillar.log_exception(error)
        access.write(scope["method"], scope["path"], 500, 0.001)
        raise
    if scope["type"] == "http":
        access.write(scope["method"], scope["path"], 200, 0.001)

if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, port=int(sys.argv[1]))
"""
)

WSGI = (
    START
    + """
pillar = start()
access = pillar.access_log()
log = get_logger("shop")

def app(environ, respond):
    pillar.unify()
    if environ["PATH_INFO"] == "/boom":
        try:
            raise ValueError("boom")
        except ValueError as error:
            pillar.log_exception(error)
            access.write("GET", "/boom", 500, 0.001)
            raise
    log.info("in the request")
    respond("200 OK", [("Content-Length", "2")])
    access.write("GET", environ["PATH_INFO"], 200, 0.001)
    return [b"ok"]
"""
)


def visit(port: int, path: str) -> int:
    """Ask for *path* until the server is up; return the status."""
    ends_s = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            if time.monotonic() > ends_s:
                raise


def serve(command: list[str], port: int, folder: Path) -> tuple[list[Line], str]:
    """Run a server for two requests; return its lines and its standard error."""
    server = subprocess.Popen(
        [sys.executable, "-m", *command]
        if command[0] != "main.py"
        else [sys.executable, *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    try:
        assert visit(port, "/fine") == 200
        assert visit(port, "/boom") == 500
    finally:
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=20)

    return read(out), err.decode()


def check(lines: list[Line]) -> None:
    """Check what each server's log must be: everything once."""
    said = [line["message"] for line in lines]
    assert said.count("in the request") == 1
    assert [line["http"]["status"] for line in lines if "http" in line] == [200, 500]
    assert [line["error"]["type"] for line in lines if "error" in line] == [
        "ValueError"
    ]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("order", ["uvicorn first", "uvicorn last"])
def test_uvicorn_in_either_order(order: str, tmp_path: Path) -> None:
    """Its command line configures logging before us, `uvicorn.run` after us."""
    (tmp_path / "main.py").write_text(ASGI)
    port = free_port()
    command = (
        ["uvicorn", "main:app", "--port", str(port)]
        if order == "uvicorn first"
        else ["main.py", str(port)]
    )

    lines, stderr = serve(command, port, tmp_path)

    check(lines)
    said = [line["message"] for line in lines]
    assert "Application startup complete." in said
    assert any(message.startswith("Uvicorn running on") for message in said)
    if order == "uvicorn last":
        assert stderr == ""
    else:
        # What it says before it imports the application is not ours to catch.
        assert "Uvicorn running" not in stderr
        assert "boom" not in stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--preload"],
        ["--access-logfile", "-"],
        ["--worker-class", "gthread", "--threads", "2", "--access-logfile", "-"],
    ],
    ids=" ".join,
)
def test_gunicorn(options: list[str], tmp_path: Path) -> None:
    """Its loggers are made in the master, with handlers and without propagation."""
    (tmp_path / "main.py").write_text(WSGI)
    port = free_port()
    command = ["gunicorn", "main:app", "-b", f"127.0.0.1:{port}", *options]

    lines, stderr = serve(command, port, tmp_path)

    check(lines)
    assert "boom" not in stderr
    assert "GET /fine" not in stderr
    if options == ["--preload"]:
        said = [line["message"] for line in lines]
        assert any(message.startswith("Booting worker") for message in said)


def test_uvicorns_worker_under_gunicorn(tmp_path: Path) -> None:
    """Uvicorn's loggers in gunicorn's worker are unified as well."""
    pytest.importorskip("uvicorn_worker")
    (tmp_path / "main.py").write_text(ASGI)
    port = free_port()
    worker = ["-k", "uvicorn_worker.UvicornWorker"]
    command = ["gunicorn", "main:app", "-b", f"127.0.0.1:{port}", *worker]

    lines, stderr = serve(command, port, tmp_path)

    check(lines)
    assert "boom" not in stderr


def test_hypercorn(tmp_path: Path) -> None:
    """Its loggers are made by hand, without `dictConfig`."""
    pytest.importorskip("hypercorn")
    (tmp_path / "main.py").write_text(ASGI)
    port = free_port()
    command = ["hypercorn", "main:app", "-b", f"127.0.0.1:{port}"]

    lines, stderr = serve([*command, "--access-logfile", "-"], port, tmp_path)

    check(lines)
    assert "boom" not in stderr


FLASK = """
import sys
early = sys.argv[1] == "early"
from flask import Flask, got_request_exception
app = Flask("shop")
if early:
    app.logger.warning("Flask's own handler")  # on standard error: made before us

pillar = start()
access = pillar.access_log()
got_request_exception.connect(
    lambda sender, exception: pillar.log_exception(exception), app, weak=False
)

@app.get("/boom")
def boom():
    raise ValueError("boom")

app.logger.warning("as a line")
assert app.test_client().get("/boom").status_code == 500
"""


@pytest.mark.parametrize("order", ["early", "late"])
def test_flasks_logger(order: str) -> None:
    """Its default handler goes, and its line about an error that ours told is muted."""
    lines, stderr = run_script(FLASK, [order])

    assert [line["message"] for line in lines] == [
        "as a line",
        "unhandled exception: ValueError",
    ]
    assert stderr.count("\n") == (1 if order == "early" else 0)


DJANGO = """
import logging, sys
order = sys.argv[1]
if order == "before":
    pillar = start()

import django
from django.conf import settings
settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    LOGGING={"version": 1, "disable_existing_loggers": True,
             "loggers": {"django.db": {"level": "ERROR"}}},
)
log = get_logger("shop.early")
logging.getLogger("gunicorn.error").propagate = False
django.setup()
if order == "after":
    pillar = start()

pillar.access_log()
from django.core.signals import got_request_exception
from django.http import HttpResponse
from django.test import Client
from django.urls import path

def told(sender, **kwargs):
    pillar.log_exception(sys.exc_info()[1])

got_request_exception.connect(told, weak=False)

def boom(request):
    raise ValueError("boom")

urlpatterns = [path("boom", boom)]
logging.getLogger("gunicorn.error").warning("gunicorn speaks")
log.info("the application speaks")
client = Client(raise_request_exception=False)
assert client.get("/boom").status_code == 500
assert client.get("/nowhere").status_code == 404
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_djangos_configuration_in_either_order(order: str) -> None:
    """It disables every logger that it doesn't know, which silences gunicorn's."""
    lines, stderr = run_script(DJANGO, [order])

    assert [line["message"] for line in lines] == [
        "gunicorn speaks",
        "the application speaks",
        "unhandled exception: ValueError",
    ]
    assert stderr == ""


CELERY = """
import sys
order = sys.argv[1]
if order == "before":
    pillar = start()

from celery import Celery
app = Celery("shop")
if order == "between":
    pillar = start()

if order != "before":
    app.log.setup(loglevel="INFO")

if order == "after":
    pillar = start()

pillar.unify()
app.log.setup(loglevel="INFO")
from celery.utils.log import get_task_logger
get_task_logger("shop.tasks").warning("a task speaks")
"""


@pytest.mark.parametrize("order", ["before", "between", "after"])
def test_celery_leaves_logging_to_us(order: str) -> None:
    """Whether a worker sets its logging up before us or after."""
    pytest.importorskip("celery")
    lines, stderr = run_script(CELERY, [order])

    assert [line["message"] for line in lines] == ["a task speaks"]
    assert "a task speaks" not in stderr
