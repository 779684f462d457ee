from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import svcready
from svcready._core import optional
from svcready._core.clock import SYSTEM_CLOCK
from svcready._runtime import _build
from svcready.config._sections.log import LogSettings
from svcready.errors import MissingExtraError
from svcready.logging._destinations import Destinations, longest_line
from tests.logging.support import Identity, Line, make_log, read
from tests.transport.logs_server import LogsServer, Refused

STDOUT_BYTES = 16 * 1024
LARGEST = 1024**2 - 26
GROUP = "/svcready/orders"


def destinations(settings: LogSettings) -> Destinations:
    """Make those of a service called orders."""
    return Destinations(settings, Identity, clock=SYSTEM_CLOCK)


@pytest.fixture
def server() -> Iterator[LogsServer]:
    """Run CloudWatch Logs."""
    made = LogsServer()
    yield made
    made.stop()


def run(
    code: str, environ: dict[str, str], server: LogsServer | None = None
) -> tuple[list[Line], str]:
    """Run a service; return the lines of its standard output, and standard error."""
    account = {
        "AWS_ENDPOINT_URL": server.url if server else "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        env={**os.environ, **account, "SVCREADY_SERVICE_NAME": "orders", **environ},
        timeout=50,
    )
    assert done.returncode == 0, done.stderr.decode()
    return read(done.stdout), done.stderr.decode()


def messages_of(lines: list[Line]) -> list[str]:
    """Return what the lines say."""
    return [line["message"] for line in lines]


def started(lines: list[Line]) -> Line:
    """Return what the start line tells."""
    (line,) = [line for line in lines if line.get("event") == "svcready.started"]
    found: Line = line["context"]
    return found


SERVICE = """
import svcready
svcready.init()
log = svcready.get_logger("shop")
log.info("one")
log.error("two")
"""


def test_standard_output_alone_costs_nothing_more() -> None:
    """Without another destination a line goes to the channel, by no further call."""
    made = destinations(LogSettings())

    assert made.write is made.channel.write
    assert made.names == ["stdout"]
    assert made.problems == []


def test_lines_go_everywhere(tmp_path: Path, server: LogsServer) -> None:
    """Every destination has every line, the last of the process included."""
    log = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(log))
        receiver.settimeout(20)
        lines, stderr = run(
            SERVICE,
            {
                "SVCREADY_LOG_FILE": str(tmp_path / "app.log"),
                "SVCREADY_LOG_SYSLOG": str(log),
                "SVCREADY_LOG_CLOUDWATCH": "true",
                "SVCREADY_LOG_CLOUDWATCH_RETENTION_DAYS": "30",
                "SVCREADY_SERVICE_INSTANCE": "i:1",
            },
            server,
        )
        messages = [receiver.recv(65536) for _ in lines]

    assert stderr == ""
    assert messages_of(lines) == [
        "service is ready",
        "svcready is on",
        "one",
        "two",
        "service is stopped",
        "svcready is off",
    ]
    assert started(lines)["logging"]["destinations"] == [
        "stdout",
        f"file {tmp_path / 'app.log'}",
        f"syslog {log}",
        "CloudWatch Logs /svcready/orders",
    ]
    assert read((tmp_path / "app.log").read_bytes()) == lines
    assert [json.loads(it.partition(b": ")[2]) for it in messages] == lines
    sent = [json.loads(text) for text in server.messages(GROUP, "i-1")]
    assert sent == lines
    assert server.retention == {GROUP: 30}
    assert "lost" not in lines[-1].get("context", {})  # for nothing was


def test_standard_output_can_be_off(tmp_path: Path) -> None:
    """Then it has nothing, and lines may be as long as the others take."""
    lines, stderr = run(
        SERVICE + "log.info('x' * 100_000)",
        {
            "SVCREADY_LOG_FILE": str(tmp_path / "app.log"),
            "SVCREADY_LOG_STDOUT": "false",
        },
    )

    assert (lines, stderr) == ([], "")
    written = read((tmp_path / "app.log").read_bytes())
    assert max(len(line["message"]) for line in written) == 100_000
    assert started(written)["logging"]["destinations"] == [
        f"file {tmp_path / 'app.log'}"
    ]


def test_no_destination_at_all_is_refused() -> None:
    """A service that says nothing to nobody is a mistake, and is told so."""
    lines, _ = run(SERVICE, {"SVCREADY_LOG_STDOUT": "false"})

    assert {"one", "two"} <= set(messages_of(lines))
    (problem,) = started(lines)["problems"]
    assert problem == (
        "SVCREADY_LOG_STDOUT=false, and no other destination can be used; lines go to "
        "standard output"
    )


def test_a_file_that_can_not_be_written_is_reported(tmp_path: Path) -> None:
    """At the start as a problem, then as an outage, at the end as what it cost."""
    path = tmp_path / "no" / "app.log"
    lines, _ = run(SERVICE, {"SVCREADY_LOG_FILE": str(path)})

    assert started(lines)["problems"] == [
        f"SVCREADY_LOG_FILE={path}: there is no directory {path.parent}"
    ]
    failed = [
        line for line in lines if line.get("event") == "svcready.destination.failed"
    ]
    assert [line["level"] for line in failed] == ["WARN", "WARN"]
    where = f"lines cannot be delivered to file {path}"
    assert messages_of(failed) == [
        f"{where}: No such file or directory",
        f"{where}: 7 lines are lost at the end",
    ]
    assert {"one", "two"} <= set(messages_of(lines))


def test_the_only_destination_that_fails_is_heard_of(
    tmp_path: Path, server: LogsServer
) -> None:
    """With standard output off, what is said of the outage comes out there."""
    server.refusals = [("CreateLogStream", Refused("AccessDeniedException"))] * 50
    lines, _ = run(
        SERVICE,
        {
            "SVCREADY_LOG_CLOUDWATCH": "true",
            "SVCREADY_LOG_STDOUT": "no",
            # A busy machine can take the usual time to load boto3.
            "SVCREADY_LIFECYCLE_FLUSH_TIMEOUT_S": "40",
        },
        server,
    )

    first, last = messages_of(lines)
    assert first == (
        "lines cannot be delivered to CloudWatch Logs: AWS answers "
        "AccessDeniedException to CreateLogStream"
    )
    assert last.endswith("7 lines are lost at the end")  # that of the outage as well


def test_a_recovery_is_a_line(tmp_path: Path) -> None:
    """With how many lines the outage cost."""
    code = f"""
import os, svcready
svcready.init()
log = svcready.get_logger("shop")
while not svcready._runtime._cells.current().flush(20):
    os.makedirs({str(tmp_path / "no")!r}, exist_ok=True)
"""
    path = tmp_path / "no" / "app.log"
    lines, _ = run(code, {"SVCREADY_LOG_FILE": str(path)})

    written = read(path.read_bytes())
    events = [line.get("event", "") for line in written]
    assert [name for name in events if "destination" in name] == [
        "svcready.destination.failed",
        "svcready.destination.recovered",
    ]
    assert {"svcready.started", "svcready.stopped"} < set(events)
    (back,) = [it for it in lines if it.get("event", "").endswith("recovered")]
    assert back["message"] == f"lines are delivered to file {path} again; 0 were lost"
    assert back["level"] == "INFO"


def test_boto3_that_is_missing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's variable never stops a service; the report is the pip command."""
    monkeypatch.setattr(
        "svcready._transport.sinks.cloudwatch_logs.available", lambda: False
    )
    made = destinations(LogSettings(cloudwatch=True))

    (problem,) = made.problems
    assert problem == (
        "SVCREADY_LOG_CLOUDWATCH=true, but the package for it is not installed: "
        'pip install "svcready[aws]"'
    )
    assert made.names == ["stdout"]


def test_boto3_that_code_asks_for_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wrong code raises, with the pip command."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(_build, "installed", lambda _: False)
    monkeypatch.setattr(optional, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r'pip install "svcready\[aws\]"'):
        svcready.init(settings={"log.cloudwatch": True})


def test_a_server_that_never_answers_does_not_hold_the_end(
    server: LogsServer,
) -> None:
    """The budget of a stop is kept, and the last line says what was lost."""
    server.go_on.clear()
    code = """
import time
start = time.monotonic()
svcready.shutdown(0.5)
assert time.monotonic() - start < 5, "it took too long"
"""
    lines, _ = run(SERVICE + code, {"SVCREADY_LOG_CLOUDWATCH": "true"}, server)

    assert messages_of(lines)[-2:] == [
        "svcready is off",
        "lines cannot be delivered to CloudWatch Logs: 6 lines are lost at the end",
    ]


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (LogSettings(), STDOUT_BYTES),
        (LogSettings(file="x"), STDOUT_BYTES),
        (LogSettings(file="x", stdout=False), LARGEST),
        (LogSettings(cloudwatch=True, stdout=False), LARGEST),
        (LogSettings(stdout=False), STDOUT_BYTES),  # which it therefore goes to
        (LogSettings(syslog="/dev/log"), 8 * 1024 - 256),
        (LogSettings(syslog="/dev/log", cloudwatch=True, stdout=False), 8 * 1024 - 256),
    ],
)
def test_the_strictest_destination_bounds_a_line(
    settings: LogSettings, size: int
) -> None:
    """A line is made once, so that it fits everywhere."""
    assert longest_line(settings, STDOUT_BYTES) == size


def test_lines_for_machines_are_json_without_colour() -> None:
    """Also on a developer's terminal, where the file has the same lines."""
    auto = make_log(LogSettings(file="x"), development=True, terminal=True)
    asked = make_log(LogSettings(file="x", format="console"), terminal=True)
    for made in (auto, asked):
        made.pillar.start()
        made.pillar.event("hello", "INFO")
        made.pillar.close()

    assert auto.last["message"] == "hello"
    assert "hello" in asked.text
    assert "\x1b" not in asked.text


def test_what_was_dropped_says_where(tmp_path: Path) -> None:
    """Standard output's reasons by themselves, the others' with the place."""
    made = destinations(LogSettings(file=str(tmp_path / "no" / "app.log")))
    made.write(b"one\n", 0)  # the channel writes it to the test's own output

    assert not made.close(0)
    assert made.dropped == {"file.deadline": 1}
