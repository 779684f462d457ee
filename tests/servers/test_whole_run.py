"""Everything that a service's processes print, from the first line to the last."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from svcready.logging import schema
from tests.servers.apps import troubles
from tests.servers.harness import Line, Service, eventually

if TYPE_CHECKING:
    from pathlib import Path

APPS = "tests.servers.apps.troubles_"
UVICORN = ("uvicorn", "--port", "{port}")
CONFIGURED = (*UVICORN, "--log-config", "{log_config}")
HYPERCORN = ("hypercorn", "-b", "127.0.0.1:{port}", "--log-config", "json:{log_config}")
GUNICORN = ("gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket")
GUNICORN_ENV = {
    "GUNICORN_CMD_ARGS": "--logger-class svcready.logging.GunicornLogger "
    "--graceful-timeout 5"
}
DJANGO = {"DJANGO_SETTINGS_MODULE": f"{APPS}settings"}

SERVED = (
    "Started server process [0]",
    "Application startup complete.",
    "Shutting down",
    "Finished server process [0]",
)
UVICORN_SAYS = {
    **dict.fromkeys(SERVED, 1),
    "Uvicorn running on http://0.0.0.0:0 (Press CTRL+C to quit)": 1,
}
WORKERS_SAY = {
    **UVICORN_SAYS,
    **dict.fromkeys(SERVED, 2),
    "Started parent process [0]": 1,
    "Received SIGTERM, exiting.": 1,
    "Terminated child process [0]": 2,
    "Stopping parent process [0]": 1,
}
RELOADER_SAYS = {
    **UVICORN_SAYS,
    "Started reloader process [0] using StatReload": 1,
    "Stopping reloader process [0]": 1,
}


def gunicorn(workers: int) -> dict[str, int]:
    """Return what gunicorn says in a whole run."""
    return {
        "Starting gunicorn 0.0.0": 1,
        "Listening at: http://0.0.0.0:0 (0)": 1,
        "Booting worker with pid: 0": workers,
        "Handling signal: term": 1,
        "Shutting down: Master": 1,
    }


@dataclasses.dataclass(frozen=True)
class Run:
    """A service under a server, in the way that the documentation shows."""

    name: str
    command: tuple[str, ...]
    says: dict[str, int]
    """The server's lines, digits as 0, and how often each comes."""
    environ: dict[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


RUNS = (
    Run(
        "fastapi-uvicorn",
        (*UVICORN, f"{APPS}fastapi:app"),
        UVICORN_SAYS,
        {"UVICORN_LOG_CONFIG": "{log_config}"},
    ),
    Run(
        "fastapi-uvicorn-workers",
        (*CONFIGURED, "--workers", "2", f"{APPS}fastapi:app"),
        WORKERS_SAY,
    ),
    Run(
        "fastapi-uvicorn-reload",
        (*CONFIGURED, "--reload", "--reload-dir", "docs", f"{APPS}fastapi:app"),
        RELOADER_SAYS,
    ),
    Run("fastapi-uvicorn-run", (f"{APPS}fastapi", "{port}"), UVICORN_SAYS),
    Run("fastapi-uvicorn-run-workers", (f"{APPS}run", "{port}"), WORKERS_SAY),
    Run(
        "fastapi-hypercorn",
        (*HYPERCORN, "--access-logfile", "-", f"{APPS}fastapi:app"),
        {"Running on http://0.0.0.0:0 (CTRL + C to quit)": 1},
    ),
    Run(
        "fastapi-gunicorn-uvicorn",
        (*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", f"{APPS}fastapi:app"),
        {**gunicorn(1), "Started server process [0]": 1},
        GUNICORN_ENV,
    ),
    Run(
        "flask-gunicorn",
        (*GUNICORN, "--workers", "2", "--access-logfile", "-", f"{APPS}flask:app"),
        {**gunicorn(2), "Worker exiting (pid: 0)": 2},
        GUNICORN_ENV,
    ),
    Run(
        "flask-gunicorn-preload",
        (*GUNICORN, "--preload", "-k", "gthread", f"{APPS}flask:app"),
        {**gunicorn(1), "Worker exiting (pid: 0)": 1},
        GUNICORN_ENV,
    ),
    Run(
        "django-gunicorn",
        (*GUNICORN, f"{APPS}django"),
        {**gunicorn(1), "Worker exiting (pid: 0)": 1},
        {**GUNICORN_ENV, **DJANGO},
    ),
    Run(
        "django-uvicorn",
        (*CONFIGURED, f"{APPS}django:application"),
        UVICORN_SAYS,
        {**DJANGO, "DJANGO_ON_ASGI": "1"},
    ),
)


@cache
def validator() -> Draft202012Validator:
    """Return the validator of the published schema."""
    return Draft202012Validator(schema())


def read(output: str) -> list[Line]:
    """Read lines, each of which must be JSON of the schema."""
    assert output == "" or output.endswith("\n")
    lines: list[Line] = []
    for text in output.splitlines():
        assert text.startswith("{"), f"not JSON: {text}"
        line: Line = json.loads(text)
        assert not [error.message for error in validator().iter_errors(line)], line
        lines.append(line)

    return lines


def identity(line: Line) -> tuple[str, ...]:
    """Return what makes a line that comes again the same line."""
    names = ("instance", "source", "message", "event", "context", "request_id", "http")
    return tuple(json.dumps(line.get(name)) for name in names)


def without_numbers(message: object) -> str:
    """Return a server's message as it is in each run."""
    return re.sub(r"\d+", "0", str(message))


@pytest.fixture(scope="module")
def log_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that the documented command writes."""
    path = tmp_path_factory.mktemp("config") / "log.json"
    done = subprocess.run(
        [sys.executable, "-m", "svcready", "log-config"],
        check=True,
        capture_output=True,
        timeout=30,
    )
    path.write_bytes(done.stdout)
    return path


def whole_run(run: Run, directory: Path, log_config: Path) -> list[Line]:
    """Start the service, have it say all that it can, stop it, read everything."""

    def fill(text: str) -> str:
        return text.replace("{log_config}", str(log_config))

    environ = {name: fill(value) for name, value in run.environ.items()}
    environ["SVCREADY_SERVICE_NAME"] = "orders"
    service = Service([fill(part) for part in run.command], directory, environ=environ)
    with service:
        for path in troubles.SAID:
            status = service.get(path).status
            assert status == (500 if path == "/boom" else 200), path

        eventually(
            lambda: service.output.count('"http":') == len(troubles.SAID),
            "the access lines",
        )
        service.terminate()

    return read(service.output + service.errors)


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_whole_run(run: Run, tmp_path: Path, log_config: Path) -> None:
    """
    Start, requests, an error, a dead thread and task, a warning, stop: each is a line
    of the schema on one of the two streams, once, under the service's name, and
    nothing else is.
    """
    lines = whole_run(run, tmp_path, log_config)

    assert {line["service"] for line in lines} == {"orders"}
    twice = [it for it, count in Counter(map(identity, lines)).items() if count > 1]
    assert not twice

    said = Counter(str(line["message"]) for line in lines)
    expected = {text: 1 for texts in troubles.SAID.values() for text in texts}
    assert {text: said[text] for text in expected} == expected
    assert said["svcready is on"] == 1

    routes = Counter(line["http"]["route"] for line in lines if "http" in line)  # type: ignore[index]
    assert sum(routes.values()) == len(troubles.SAID)
    errors = Counter(line["error"]["message"] for line in lines if "error" in line)  # type: ignore[index]
    assert errors == {
        "in the request": 1,
        "in a thread": 1,
        "in a task": 1,
        "in a destructor": 1,
    }

    servers = Counter(without_numbers(line["message"]) for line in lines)
    assert {text: servers[text] for text in run.says} == run.says


BROKEN = """
import svcready
raise LookupError("no database")
"""


def test_a_worker_that_does_not_come_up(tmp_path: Path) -> None:
    """
    What gunicorn says of it, its stack among it, is of the schema too. Only the reason
    that it gave up for is printed past its logger.
    """
    (tmp_path / "broken.py").write_text(BROKEN)
    service = Service(
        ["gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket", "broken:app"],
        tmp_path,
        environ={**GUNICORN_ENV, "SVCREADY_SERVICE_NAME": "orders"},
        cwd=tmp_path,
    )
    service.launch()
    try:
        assert service.wait() == 3
    finally:
        service.kill()

    assert service.errors == "no database\n"
    lines = read(service.output)
    (line,) = [line for line in lines if "error" in line]
    assert line["message"] == "Exception in worker process"
    assert line["error"]["message"] == "no database"  # type: ignore[index]
    assert line["service"] == "orders"


BARE = """
def app(environ, respond):
    respond("200 OK", [("Content-Length", "0")])
    return []
"""


def test_gunicorns_logger_without_svcready_in_the_service(tmp_path: Path) -> None:
    """Its access log is as it was asked for, in the schema, and so is its file."""
    (tmp_path / "bare.py").write_text(BARE)
    errors = tmp_path / "errors.log"
    command = [*GUNICORN, "--access-logfile", "-", "--error-logfile", str(errors)]
    service = Service(
        [*command, "bare:app"],
        tmp_path,
        environ={**GUNICORN_ENV, "OTEL_SERVICE_NAME": "bare"},
        cwd=tmp_path,
    )
    with service:
        service.get("/orders?password=hunter2")
        eventually(lambda: "/orders" in service.output, "the access line")
        service.terminate()

    accesses = read(service.output)
    assert service.errors == ""
    (line,) = [line for line in accesses if "/orders" in str(line["message"])]
    assert line["source"]["logger"] == "gunicorn.access"  # type: ignore[index]
    assert line["service"] == "bare"
    assert "hunter2" not in service.output
    said = {without_numbers(line["message"]) for line in read(errors.read_text())}
    assert said >= gunicorn(1).keys()


CELERY = ["celery", "--quiet", "-A", "tests.servers.apps.celery_app"]


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_celery_worker(pool: str, tmp_path: Path) -> None:
    """
    Its own lines, the tasks' by each kind of logger, what they print, a task that
    fails: once each. Only its last word at SIGTERM is text, which it writes past
    everything.
    """
    worker = [*CELERY, "worker", "--pool", pool, "--concurrency", "1", "-l", "INFO"]
    service = Service(worker, tmp_path)
    service.launch()
    try:
        eventually(lambda: "raised unexpected" in service.output, "the task fails", 30)
        eventually(lambda: "succeeded in" in service.output, "the task ends")
        service.terminate()
    finally:
        service.kill()

    farewell = "\nworker: Warm shutdown (MainProcess)\n"
    lines = read(service.output.replace(farewell, "") + service.errors)
    said = Counter(str(line["message"]) for line in lines)
    for text in ("by ours", "by a task logger", "by print", "it is old"):
        assert said[text] == 1, text

    assert len([line for line in lines if "error" in line]) == 1
    assert not [text for text in said if said[text] > 1 and "hostname" not in text]


def test_celery_beat(tmp_path: Path) -> None:
    """The scheduler's process says all in the schema."""
    beat = [*CELERY, "beat", "-l", "DEBUG", "-s", str(tmp_path / "schedule")]
    debug = {"SVCREADY_LOG_LEVEL": "DEBUG", "SVCREADY_LOG_ALLOW_DEBUG": "true"}
    service = Service(beat, tmp_path, environ=debug)
    service.launch()
    try:
        # Asleep, because Celery's handler works on what it may interrupt the making of.
        eventually(lambda: "beat: Waking up" in service.output, "beat waits", 60)
        service.terminate()
    finally:
        service.kill()

    lines = read(service.output + service.errors)
    assert [line["message"] for line in lines].count("beat: Starting...") == 1


def test_the_development_servers_say_nothing_twice(tmp_path: Path) -> None:
    """`flask run` prints a banner of its own; the rest are lines, colours left out."""
    service = Service(
        ["flask", "--app", f"{APPS}flask", "run", "--port", "{port}"], tmp_path
    )
    with service:
        service.get("/orders")
        eventually(lambda: '"http":' in service.output, "the access line")
        service.terminate()

    texts = (service.output + service.errors).splitlines(keepends=True)
    lines = read("".join(text for text in texts if text.startswith("{")))
    assert [text for text in texts if not text.startswith("{")] == [
        f" * Serving Flask app '{APPS}flask'\n",
        " * Debug mode: off\n",
    ]
    said = [str(line["message"]) for line in lines]
    assert len([line for line in lines if "http" in line]) == 1
    assert "GET /orders" not in service.output + service.errors
    assert any("Running on" in text for text in said)
    assert not [text for text in said if "\x1b" in text]
